package pki

import "os"

// inode would tell a file from another that took its name; here its time and
// size must do.
func inode(os.FileInfo) uint64 { return 0 }
