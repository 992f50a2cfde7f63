//go:build linux || darwin || freebsd

package cluster

import "golang.org/x/sys/unix"

// diskSpace is what a process without privileges may still write on the file
// system of a folder, and its size, in bytes.
func diskSpace(dir string) (free, total int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, err
	}
	block := int64(s.Bsize)
	return int64(s.Bavail) * block, int64(s.Blocks) * block, nil
}
