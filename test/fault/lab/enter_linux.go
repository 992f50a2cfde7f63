package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// inside is set in the environment of a test that runs in its own namespaces.
const inside = "SETPOINT_FAULT_INSIDE"

// Enter runs the program once more, in namespaces of its own: users, where it is
// not root already, and mounts, network and processes. It returns the exit code
// of that run, or false in it: then everything is set up.
func Enter() (code int, done bool, err error) {
	if os.Getenv(inside) != "" {
		return 0, false, furnish()
	}
	if err := missing(); err != nil {
		return 1, true, err
	}
	again, err := os.Executable()
	if err != nil {
		return 1, true, err
	}
	// What is inside dies with the thread that made it: with this program.
	runtime.LockOSThread()
	cmd := exec.Command(again, os.Args[1:]...) //nolint:gosec,noctx // this program itself; it ends when this one does
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	if uid := os.Getuid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	if err := cmd.Start(); err != nil {
		return 1, true, fmt.Errorf("the fault tests need namespaces of their own, and may not make any here: %w\n"+
			"run them as root, or allow unprivileged user namespaces "+
			"(sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0)", err)
	}
	// Ctrl-C reaches both; the one inside decides when all is over.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM)
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), true, nil
	}
	return 0, true, err
}

// missing tells which programs the lab needs and cannot find.
func missing() error {
	var names []string
	for _, name := range []string{"ip", "tc", "strace"} {
		if _, err := find(name); err != nil {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		return fmt.Errorf("the fault tests need programs that are not installed: %s; `make test-deps` installs them (iproute2, strace)", strings.Join(names, ", "))
	}
	return nil
}

// find looks in the folders of administrators as well, which are not in
// everybody's path.
func find(program string) (string, error) {
	name, err := exec.LookPath(program)
	for _, dir := range []string{"/usr/sbin/", "/sbin/"} {
		if err != nil {
			name, err = exec.LookPath(dir + program)
		}
	}
	return name, err
}

// furnish makes the namespaces fit to live in.
func furnish() error {
	steps := []struct {
		what string
		do   func() error
	}{
		{"keep mounts to ourselves", func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") }},
		{"see our own processes", func() error { return unix.Mount("proc", "/proc", "proc", 0, "") }},
		// Names of network namespaces are files in /run/netns.
		{"have names of our own", func() error { return unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755") }},
		{"speak to ourselves", func() error { return run("ip", "link", "set", "lo", "up") }},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			return fmt.Errorf("lab: %s: %w", s.what, err)
		}
	}
	return nil
}

// run runs one of the system's programs.
func run(program string, args ...string) error {
	name, err := find(program)
	if err != nil {
		return err
	}
	if text, err := exec.Command(name, args...).CombinedOutput(); err != nil { //nolint:gosec,noctx // the lab's own commands, which end at once
		return fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, strings.TrimSpace(string(text)))
	}
	return nil
}
