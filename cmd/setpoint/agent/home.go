package agent

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/setpointhq/setpoint/config"
)

var errLocked = errors.New("another process holds the lock")

// home is the agent's own directory. One agent has it at a time.
type home struct {
	dir  string
	lock *os.File
}

// openHome makes the directory, and takes its lock. Close gives it back.
func openHome(dir string) (*home, error) {
	const op = "agent"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, config.Errorf(config.Invalid, op, dir, "the state directory cannot be made: %w", cause(err))
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, config.Errorf(config.Invalid, op, dir, "the state directory cannot be used: %w", cause(err))
	}
	if err := lockFile(f); err != nil {
		f.Close()
		if errors.Is(err, errLocked) {
			return nil, config.Errorf(config.Conflict, op, dir, "another agent runs with this state directory; stop it, or give this one another with state_dir and other files to keep")
		}
		return nil, config.Errorf(config.Internal, op, dir, "lock: %w", err)
	}
	return &home{dir: dir, lock: f}, nil
}

// Close gives the directory back.
func (h *home) Close() { h.lock.Close() }

// cache is where the SDK keeps its copy of the configs.
func (h *home) cache() string { return filepath.Join(h.dir, "cache") }

func (h *home) journal() string { return filepath.Join(h.dir, "swap.json") }

// begin writes down a swap that is about to happen, so that an agent that is
// killed before its end undoes it when it comes back: nobody has said yet that
// the new files are any good.
func (h *home) begin(s *swap) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := writeFile(h.journal(), text, 0o600); err != nil {
		return err
	}
	return flushDir(h.dir)
}

// end forgets the swap: it is over, one way or the other.
func (h *home) end() error {
	if err := os.Remove(h.journal()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return flushDir(h.dir)
}

// recover undoes the swap that an agent left unfinished, and returns the places
// that it was of.
func (h *home) recover() ([]string, error) {
	text, err := os.ReadFile(h.journal())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s, err := readJournal(text)
	if err != nil {
		return nil, config.Errorf(config.Invalid, "agent", h.journal(), "what an agent wrote down of a swap cannot be read: %w; look at the files, then remove it", err)
	}
	var places []string
	for _, st := range s.Steps {
		places = append(places, st.Place)
		// Without its old file a step was undone before, in a first attempt.
		if _, err := os.Lstat(st.Old); st.Old == "" || err == nil {
			st.done = true
		}
	}
	if err := s.undo(); err != nil {
		return places, err
	}
	return places, h.end()
}

// readJournal decodes a journal. It names files that the agent may remove, so
// that only what the agent would have written itself is believed.
func readJournal(text []byte) (*swap, error) {
	s := &swap{}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, err
	}
	for _, st := range s.Steps {
		if st == nil || !filepath.IsAbs(st.Place) || filepath.Clean(st.Place) != st.Place || st.Old != "" && st.Old != oldName(st.Place) {
			return nil, errors.New("it names files that are none of an agent's")
		}
	}
	return s, nil
}

// sweep removes what agents that were killed left beside a place.
func sweep(place string) {
	dir, name := filepath.Split(place)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // the apply will say why
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "."+name+newMark) || e.Name() == "."+name+oldMark {
			discardFile(filepath.Join(dir, e.Name()))
		}
	}
}
