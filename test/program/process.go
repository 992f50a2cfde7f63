package program

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// Process is a server that runs as a process of its own: one run after another,
// with one log. It is for one goroutine.
type Process struct {
	// Program is the binary, Args and Env what it is given. They hold from the
	// next Launch on.
	Program string
	Args    []string
	Env     []string
	// Start starts what was prepared; nil for (*exec.Cmd).Start.
	Start func(*exec.Cmd) error
	// Troubled allows errors in the log, of a server that is given trouble.
	Troubled bool

	out     *os.File // what it says to people
	log     *os.File
	secrets []string // must never be logged
	cmd     *exec.Cmd
	ended   chan struct{}
	exit    error // valid when ended is closed
}

// NewProcess makes a process that does not run yet. What it says is kept in dir.
func NewProcess(dir string) (*Process, error) {
	p := &Process{ended: make(chan struct{})}
	close(p.ended)
	var errOut, errLog error
	p.out, errOut = create(filepath.Join(dir, "out"))
	p.log, errLog = create(filepath.Join(dir, "log"))
	if err := errors.Join(errOut, errLog); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// create makes a file that a process may write to while others read it.
func create(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
}

// Launch begins a run. The server need not be ready, nor even listen, when this
// returns.
func (p *Process) Launch() error {
	cmd := exec.Command(p.Program, p.Args...) //nolint:gosec,noctx // the program under test; Stop and Kill end it
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = p.Env, p.out, p.log, dieWithUs()
	start := p.Start
	if start == nil {
		start = (*exec.Cmd).Start
	}
	if err := start(cmd); err != nil {
		return err
	}
	ended := make(chan struct{})
	p.cmd, p.ended = cmd, ended
	go func() {
		p.exit = cmd.Wait()
		close(ended)
	}()
	return nil
}

// Ended is closed when the present run has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Running reports whether the process lives.
func (p *Process) Running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// PID is the number of the process, 0 before its first run.
func (p *Process) PID() int {
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Signal sends the process a signal.
func (p *Process) Signal(s os.Signal) error {
	if p.cmd == nil {
		return errors.New("the server was never started")
	}
	return p.cmd.Process.Signal(s)
}

// Kill ends the process as a power cut would, and waits until it is gone.
func (p *Process) Kill() error {
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.ended
	return nil
}

// Stop ends the process as an operator does. It returns nil if that went in
// order and within the limit.
func (p *Process) Stop(limit time.Duration) error {
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return p.Wait(limit)
}

// Wait returns how the run ended. One that does not end is killed.
func (p *Process) Wait(limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.ended:
		return p.exit
	case <-timer.C:
		return errors.Join(fmt.Errorf("the server does not end within %s", limit), p.Kill())
	}
}

// Until waits for a condition. It is an error if the process ends before, or
// the limit passes.
func (p *Process) Until(what string, limit time.Duration, holds func() bool) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-p.ended:
			return fmt.Errorf("the server ended while the test waited for: %s: %w", what, p.exit)
		case <-timer.C:
			return fmt.Errorf("in vain waited %s for: %s", limit, what)
		}
	}
	return nil
}

// Out is what the process has said to people in all of its runs.
func (p *Process) Out() string { return text(p.out) }

// Log is what the process has logged in all of its runs.
func (p *Process) Log() string { return text(p.log) }

func text(f *os.File) string {
	b, err := os.ReadFile(f.Name())
	if err != nil {
		return "(" + err.Error() + ")"
	}
	return string(b)
}

// LogEnd is the end of the log, for a test that failed.
func (p *Process) LogEnd() string {
	const most = 16 << 10
	text := p.Log()
	if len(text) > most {
		text = "…" + text[len(text)-most:]
	}
	return text
}

var (
	crash = regexp.MustCompile(`(?m)^(panic: |fatal error: |goroutine \d+ \[)|DATA RACE|panicked`)
	alarm = regexp.MustCompile(`level=ERROR|"level":"ERROR"`)
)

// Complaints are what must not be in a log: panics, errors and secrets.
func (p *Process) Complaints() (found []string) {
	text := p.Log()
	for line := range strings.Lines(text) {
		if crash.MatchString(line) || !p.Troubled && alarm.MatchString(line) {
			found = append(found, "in the log: "+line)
		}
	}
	for _, secret := range p.secrets {
		if strings.Contains(text, secret) {
			found = append(found, fmt.Sprintf("a secret is in the log: %s…", secret[:min(6, len(secret))]))
		}
	}
	return found
}

// Secret notes what must never be logged.
func (p *Process) Secret(secret config.Secret) config.Secret {
	p.secrets = append(p.secrets, secret.Reveal())
	return secret
}

var (
	passwordText    = regexp.MustCompile(`shown this once:[^A-Z0-9]+([A-Z0-9]{20,})`)
	fingerprintText = regexp.MustCompile(`SHA-256 fingerprint ([0-9a-f]{64})`)
)

// Password is that of the user admin, which the first node of an installation
// prints once; false if it was not printed.
func (p *Process) Password() (config.Secret, bool) {
	found := passwordText.FindStringSubmatch(p.Out())
	if found == nil {
		return config.Secret{}, false
	}
	return p.Secret(config.NewSecret(found[1])), true
}

// Fingerprint is that of the certificate which the node has made for itself, as
// it said last; false if it did not.
func (p *Process) Fingerprint() (string, bool) {
	found := fingerprintText.FindAllStringSubmatch(p.Out(), -1)
	if len(found) == 0 {
		return "", false
	}
	return found[len(found)-1][1], true
}

// Close lets go of the files. The process must have ended.
func (p *Process) Close() (err error) {
	for _, f := range []*os.File{p.out, p.log} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}
