package program

import "syscall"

// dieWithUs keeps a server from outliving a test that ends without its cleanup.
func dieWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
