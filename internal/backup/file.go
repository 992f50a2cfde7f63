package backup

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"

	"github.com/setpointhq/setpoint/config"
)

// partial is what the name of a file ends with that is not whole yet.
const partial = ".partial"

// File is a file that has its name only once all of it is on disk. Only its
// owner may read it: a backup holds everything.
type File struct {
	f    *os.File
	name string // that it is to have
	done bool
}

// Create begins a file. The caller closes it, which discards what was not
// committed.
func Create(name string) (*File, error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*"+partial)
	if err != nil {
		return nil, at("write backup", name, err)
	}
	return &File{f: f, name: name}, nil
}

// Write implements io.Writer.
func (f *File) Write(b []byte) (int, error) { return f.f.Write(b) }

// Name returns the file's present name.
func (f *File) Name() string { return f.f.Name() }

// Sync makes what was written durable.
func (f *File) Sync() error { return f.f.Sync() }

// Commit makes what was written durable and gives it its name. A file that has
// the name already is replaced.
func (f *File) Commit() error { return f.CommitAs(f.name) }

// CommitAs is Commit with another name, in the same directory.
func (f *File) CommitAs(name string) error {
	err := f.Sync()
	if err == nil {
		err = f.f.Close()
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return at("write backup", name, err)
	}
	f.done = true
	return at("write backup", name, syncDir(filepath.Dir(name)))
}

// Close ends the file; what was not committed is gone.
func (f *File) Close() error {
	if f.done {
		return nil
	}
	f.done = true
	err := f.f.Close()
	if errors.Is(err, os.ErrClosed) {
		err = nil
	}
	return at("write backup", f.name, errors.Join(err, os.Remove(f.Name())))
}

// syncDir makes a new name in a directory durable.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" { // directories cannot be synced there
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// errNoSpace is when a backup would fill a disk.
func errNoSpace(dir string, free, least int64) error {
	return config.Errorf(config.Exhausted, "write backup", dir, "%d bytes are free there and %d must stay so: make room, keep fewer backups, or choose another directory", free, least)
}
