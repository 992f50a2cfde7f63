//go:build unix

package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"slices"
	"strconv"
	"syscall"
)

// ownerID finds a user by name or number; -1 for "". Only root can give files away.
func ownerID(name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	id, err := strconv.ParseUint(name, 10, 31)
	if err != nil {
		found, err := user.Lookup(name)
		if err != nil {
			return -1, fmt.Errorf("this machine has no user %q", name)
		}
		if id, err = strconv.ParseUint(found.Uid, 10, 31); err != nil {
			return -1, fmt.Errorf("user %q: %w", name, err)
		}
	}
	if me := os.Geteuid(); me != 0 && int(id) != me {
		return -1, fmt.Errorf("only root can give files to %s: run the agent as root, or leave the key out", name)
	}
	return int(id), nil
}

// groupID finds a group by name or number; -1 for "". Who is not root can give
// files to the groups that it is in.
func groupID(name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	id, err := strconv.ParseUint(name, 10, 31)
	if err != nil {
		found, err := user.LookupGroup(name)
		if err != nil {
			return -1, fmt.Errorf("this machine has no group %q", name)
		}
		if id, err = strconv.ParseUint(found.Gid, 10, 31); err != nil {
			return -1, fmt.Errorf("group %q: %w", name, err)
		}
	}
	if os.Geteuid() == 0 || int(id) == os.Getegid() {
		return int(id), nil
	}
	if mine, err := os.Getgroups(); err != nil || !slices.Contains(mine, int(id)) {
		return -1, fmt.Errorf("the agent is neither root nor in the group %s: put its user into it, or leave the key out", name)
	}
	return int(id), nil
}

// owned says whose a file is.
func owned(info fs.FileInfo) (uid, gid int) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid), int(s.Gid)
	}
	return -1, -1
}

// lockFile takes the lock of an open file without waiting; errLocked if another
// process has it. The kernel gives it back when the file is closed.
func lockFile(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errLocked
	}
	return err
}
