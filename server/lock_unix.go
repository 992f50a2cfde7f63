//go:build unix

package server

import (
	"errors"
	"os"
	"syscall"
)

// lockFile takes the lock of an open file without waiting; errLocked if another
// process has it. The kernel gives it back when the file is closed.
func lockFile(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errLocked
	}
	return err
}
