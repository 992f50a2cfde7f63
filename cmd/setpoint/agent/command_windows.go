package agent

import "os/exec"

// ownGroup does nothing: this system knows no process groups to kill.
func ownGroup(*exec.Cmd) {}
