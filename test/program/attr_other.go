//go:build !linux

package program

import "syscall"

// dieWithUs keeps a server from outliving a test, where the system can do that.
func dieWithUs() *syscall.SysProcAttr { return nil }
