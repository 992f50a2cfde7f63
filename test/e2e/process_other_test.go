//go:build !linux

package e2e

import "syscall"

// dieWithUs keeps a server from outliving a test, where the system can do that.
func dieWithUs() *syscall.SysProcAttr { return nil }
