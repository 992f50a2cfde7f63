//go:build unix

package pki

import (
	"os"
	"syscall"
)

// inode tells a file from another that took its name.
func inode(info os.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Ino)
	}
	return 0
}
