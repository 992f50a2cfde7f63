package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// rendering is what is to be at a file's place.
type rendering struct {
	*target
	content []byte
	absent  bool // nothing is to be there
	keep    bool // whatever is there stays: what it was made of is not served
}

// The names of what lies beside a file while it is swapped. They begin with a
// dot and end in nothing that a program would take for a file of its own.
const (
	newMark = ".setpoint-new-"
	oldMark = ".setpoint-old"
)

func oldName(path string) string {
	dir, name := filepath.Split(path)
	return filepath.Join(dir, "."+name+oldMark)
}

// inPlace reports whether the file is as the rendering says already. What may
// not be replaced, a link or a folder, is an error.
func (r *rendering) inPlace() (bool, error) {
	if r.keep {
		return true, nil
	}
	info, err := os.Lstat(r.To)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return r.absent, nil
	case errors.Is(err, syscall.ENOTDIR) && r.absent:
		return true, nil
	case err != nil:
		return false, err
	case info.Mode()&fs.ModeSymlink != 0:
		return false, fmt.Errorf("%s is a symbolic link: name the file that it leads to", r.To)
	case !info.Mode().IsRegular():
		return false, fmt.Errorf("%s is there and no plain file", r.To)
	case r.absent || info.Size() != int64(len(r.content)) || !r.fits(info):
		return false, nil
	}
	now, err := os.ReadFile(r.To)
	return err == nil && bytes.Equal(now, r.content), err
}

// fits reports whether permissions and owners are as they should be.
func (r *rendering) fits(info fs.FileInfo) bool {
	uid, gid := owned(info)
	return info.Mode().Perm() == fs.FileMode(r.Mode) && (r.uid < 0 || uid == r.uid) && (r.gid < 0 || gid == r.gid)
}

// swap is files on their way to their places: first all lie beside them, then
// each takes its place by a rename, so that who opens one sees the old file or
// the new one, and nothing in between. Until it is finished it can be undone.
type swap struct {
	Steps []*step `json:"steps"`
}

// step is the swap of one file.
type step struct {
	Place string `json:"place"`
	Old   string `json:"old,omitempty"` // the name that the file before is kept under; empty if there was none
	fresh string // the name of the new file; empty to have none
	done  bool
}

// stage writes the new files beside their places, ready in content, permissions
// and owner, and flushed to disk. Nothing is in force yet. On an error it has
// cleaned up after itself.
func stage(changed []*rendering) (s *swap, err error) {
	s = &swap{}
	defer func() {
		if err != nil {
			s.discard()
		}
	}()
	for _, r := range changed {
		st := &step{Place: r.To}
		s.Steps = append(s.Steps, st)
		if _, err := os.Lstat(r.To); err == nil {
			st.Old = oldName(r.To)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return s, err
		}
		if r.absent {
			continue
		}
		if err := makeDirs(r); err != nil {
			return s, err
		}
		if st.fresh, err = writeNew(r); err != nil {
			return s, err
		}
	}
	return s, nil
}

// makeDirs makes the folders above a file, if asked to, each as open to the
// file's group as the file is meant to be.
func makeDirs(r *rendering) error {
	var missing []string
	for dir := filepath.Dir(r.To); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			return fmt.Errorf("%s is no folder", dir)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return err
		}
		missing = append(missing, dir)
	}
	if len(missing) > 0 && !r.CreateDirs {
		return fmt.Errorf("there is no folder %s; make it, or have it made with create_dirs", filepath.Dir(r.To))
	}
	for _, dir := range slices.Backward(missing) {
		if err := os.Mkdir(dir, 0o750); err != nil {
			return err
		}
		if r.uid >= 0 || r.gid >= 0 {
			if err := os.Chown(dir, r.uid, r.gid); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeNew writes a rendering beside its place.
func writeNew(r *rendering) (name string, err error) {
	dir, base := filepath.Split(r.To)
	f, err := os.CreateTemp(dir, "."+base+newMark+"*")
	if err != nil {
		return "", err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			discardFile(f.Name())
			name = ""
		}
	}()
	if _, err := f.Write(r.content); err != nil {
		return "", err
	}
	// The owner first: a change of owner can take permissions away.
	if r.uid >= 0 || r.gid >= 0 {
		if err := f.Chown(r.uid, r.gid); err != nil {
			return "", err
		}
	}
	if err := f.Chmod(fs.FileMode(r.Mode)); err != nil {
		return "", err
	}
	return f.Name(), f.Sync()
}

// take puts every new file in its place. On an error some may have been: undo.
// safe is called when what was there before is kept, and nothing replaced yet.
func (s *swap) take(safe func(*swap) error) error {
	if len(s.Steps) == 0 {
		return nil
	}
	for _, st := range s.Steps {
		if st.Old != "" {
			if err := keepOld(st.Place, st.Old); err != nil {
				return err
			}
		}
	}
	if err := errors.Join(s.flush(), safe(s)); err != nil {
		return err
	}
	for _, st := range s.Steps {
		st.done = true
		var err error
		switch {
		case st.fresh != "":
			err = os.Rename(st.fresh, st.Place)
		case st.Old != "":
			err = os.Remove(st.Place)
		}
		if err != nil {
			return err
		}
	}
	return s.flush()
}

// keepOld gives the file that is in place a second name, under which it stays as
// it is to the last byte, permission and owner. Where the disk knows no second
// names, it is copied.
func keepOld(place, old string) error {
	if err := os.Remove(old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if os.Link(place, old) == nil {
		return nil
	}
	return copyFile(place, old)
}

// copyFile copies a file with its permissions and owner.
func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	if uid, gid := owned(info); uid >= 0 && (uid != os.Geteuid() || gid != os.Getegid()) {
		if err := out.Chown(uid, gid); err != nil {
			return err
		}
	}
	if err := out.Chmod(info.Mode().Perm()); err != nil {
		return err
	}
	return out.Sync()
}

// undo puts back what was in the places before. What cannot be put back it says,
// and leaves beside its place.
func (s *swap) undo() error {
	var errs []error
	for _, st := range slices.Backward(s.Steps) {
		var err error
		switch {
		case !st.done:
		case st.Old != "":
			err = os.Rename(st.Old, st.Place)
		default:
			if err = os.Remove(st.Place); errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
		}
		if err != nil {
			errs = append(errs, err)
			st.Old = "" // it is the only copy
		}
	}
	errs = append(errs, s.flush())
	s.discard()
	return errors.Join(errs...)
}

// discard removes what lies beside the places: the end of a swap.
func (s *swap) discard() {
	for _, st := range s.Steps {
		discardFile(st.fresh)
		if st.Old != "" {
			discardFile(st.Old)
		}
	}
}

// discardFile removes a file of the agent's own, if it is there. One that cannot
// be removed does no harm but lie there.
func discardFile(name string) {
	if name != "" {
		_ = os.Remove(name) //nolint:gosec // beside a place that the settings name
	}
}

// flush makes the names in the places' folders safe from a power cut.
func (s *swap) flush() error {
	seen := map[string]bool{}
	for _, st := range s.Steps {
		dir := filepath.Dir(st.Place)
		if seen[dir] {
			continue
		}
		seen[dir] = true
		if err := flushDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// flushDir flushes a folder. Some disks cannot, and need not.
func flushDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the folder of a place that the settings name
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil // a folder that may be written to but not read
	}
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// writeFile replaces a file of the agent's own in one step.
func writeFile(name string, content []byte, mode fs.FileMode) error {
	r := &rendering{target: &target{File: File{To: name, Mode: Mode(mode)}, uid: -1, gid: -1}, content: content}
	fresh, err := writeNew(r)
	if err != nil {
		return err
	}
	if err := os.Rename(fresh, name); err != nil {
		discardFile(fresh)
		return err
	}
	return nil
}
