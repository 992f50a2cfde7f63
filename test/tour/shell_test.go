//go:build unix

package tour

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait. Nothing takes nearly as long.
const patience = 60 * time.Second

// shell is one terminal: a bash that is given one command after the other.
type shell struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     io.WriteCloser
	screen screen
	typed  int
	want   []string // all that a command which goes on should have shown by now
}

// screen takes what is shown.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
	grew chan struct{} // has room for one
}

// Write implements io.Writer.
func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.grew <- struct{}{}:
	default:
	}
	return s.text.Write(b)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// open begins a shell in a directory, with nothing in its environment but env.
func open(t *testing.T, dir string, env []string) *shell {
	t.Helper()
	s := &shell{t: t, cmd: exec.Command("bash", "--noprofile", "--norc"), screen: screen{grew: make(chan struct{}, 1)}}
	s.cmd.Dir, s.cmd.Env, s.cmd.Stdout, s.cmd.Stderr = dir, env, &s.screen, &s.screen
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that all that it starts can be ended
	in, err := s.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.in = in
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.end(syscall.SIGKILL) })
	return s
}

// end signals everything that runs in the terminal and waits until it is gone.
func (s *shell) end(signal syscall.Signal) {
	if s.cmd.ProcessState != nil {
		return
	}
	_ = s.in.Close()
	_ = syscall.Kill(-s.cmd.Process.Pid, signal)
	hung := time.AfterFunc(patience, func() {
		s.t.Errorf("what runs in the terminal does not end:\n%s", s.screen.String())
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	})
	defer hung.Stop()
	_ = s.cmd.Wait() // how bash ended says nothing of the test
}

// start types a command that goes on.
func (s *shell) start(command string) {
	s.t.Helper()
	if _, err := fmt.Fprintf(s.in, "%s </dev/null\n", strings.TrimSpace(command)); err != nil {
		s.t.Fatal(err)
	}
}

// run types a command and returns what it showed.
func (s *shell) run(command string) []string {
	s.t.Helper()
	s.typed++
	from, mark := len(s.screen.String()), fmt.Sprintf("\n=== end of command %d ===\n", s.typed)
	if _, err := fmt.Fprintf(s.in, "{ %s\n} </dev/null\nprintf %%s '%s'\n", strings.TrimSpace(command), mark); err != nil {
		s.t.Fatal(err)
	}
	text := ""
	if !s.await(func(all string) bool {
		var ended bool
		text, _, ended = strings.Cut(all[from:], mark)
		return ended
	}) {
		s.t.Fatalf("$ %s\nnever ended; it showed:\n%s", command, text)
	}
	return lines(text)
}

// await waits until the screen holds what is looked for.
func (s *shell) await(holds func(all string) bool) bool {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for !holds(s.screen.String()) {
		select {
		case <-s.screen.grew:
		case <-limit.C:
			return false
		}
	}
	return true
}

// lines splits what a screen showed.
func lines(text string) []string {
	text = strings.TrimSuffix(text, "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}
