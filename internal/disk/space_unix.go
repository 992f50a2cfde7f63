//go:build linux || darwin || freebsd

package disk

import "syscall"

// Space returns how many bytes of the file system that dir is on this process
// may still use, and how many there are.
func Space(dir string) (free, total int64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, 0, err
	}
	block := int64(s.Bsize)                                      //nolint:unconvert // its type differs between systems
	return int64(s.Bavail) * block, int64(s.Blocks) * block, nil //nolint:unconvert // likewise
}
