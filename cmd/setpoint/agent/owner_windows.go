package agent

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

var errOwner = errors.New("files cannot be given to others on this system; leave the key out")

func ownerID(name string) (int, error) {
	if name != "" {
		return -1, errOwner
	}
	return -1, nil
}

func groupID(name string) (int, error) { return ownerID(name) }

func owned(fs.FileInfo) (uid, gid int) { return -1, -1 }

// lockFile takes the lock of an open file without waiting; errLocked if another
// process has it. The system gives it back when the file is closed.
func lockFile(f *os.File) error {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return errLocked
	}
	return err
}
