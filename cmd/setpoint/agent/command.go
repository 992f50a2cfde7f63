package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"
)

// invocation is a command with what it is run with.
type invocation struct {
	Command
	env     []string
	timeout time.Duration
}

// runner runs a command to its end. The error is a *commandError if it ran and
// did not do well.
type runner func(ctx context.Context, i invocation) error

// commandError says how a command failed.
type commandError struct {
	command string
	err     error
	output  string // the end of what it wrote
}

func (e *commandError) Error() string {
	text := e.command + ": " + e.err.Error()
	if e.output != "" {
		text += ": " + e.output
	}
	return text
}

func (e *commandError) Unwrap() error { return e.err }

const (
	maxOutput = 16 << 10 // bytes kept of what a command writes: its end
	// lingering is how long a command's output is waited for after its end: what
	// it left running in the background may hold it open for ever.
	lingering = time.Second
)

// run runs a command as the agent's own user, and waits for its end. When its
// time is up, or ctx ends, it is killed with all that it has started.
func run(ctx context.Context, i invocation) error {
	limited, cancel := context.WithTimeout(ctx, i.timeout)
	defer cancel()
	name, args := i.line()
	cmd := exec.CommandContext(limited, name, args...) //nolint:gosec // who writes the settings names the command
	out := &tail{most: maxOutput}
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = i.env, out, out, lingering
	ownGroup(cmd)
	err := cmd.Run()
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay) && limited.Err() == nil:
		return nil // it did well, and left something running
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case limited.Err() != nil:
		err = fmt.Errorf("killed after %s", i.timeout)
	}
	return &commandError{command: i.String(), err: err, output: readable(out.bytes())}
}

// line is the program with its arguments. A list may name the files by
// ${SETPOINT_NEW_1} and ${SETPOINT_FILE_1}, as the shell does.
func (i invocation) line() (name string, args []string) {
	if i.Shell != "" {
		if runtime.GOOS == "windows" {
			return "cmd", []string{"/C", i.Shell}
		}
		return "/bin/sh", []string{"-c", i.Shell}
	}
	var pairs []string
	for _, pair := range i.env {
		if key, value, _ := strings.Cut(pair, "="); strings.HasPrefix(key, newVariable) || strings.HasPrefix(key, fileVariable) {
			pairs = append(pairs, "${"+key+"}", value)
		}
	}
	replacer := strings.NewReplacer(pairs...)
	for _, arg := range i.Args {
		args = append(args, replacer.Replace(arg))
	}
	return args[0], args[1:]
}

// Variables that tell commands where the files are.
const (
	newVariable  = "SETPOINT_NEW_"
	fileVariable = "SETPOINT_FILE_"
)

// environment is what commands get of the agent's: enough to find programs and
// to speak a language, and no secrets.
func environment(getenv func(string) string, more []string) (env []string) {
	for _, name := range append([]string{
		"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "LANG", "LC_ALL", "LC_CTYPE", "LC_MESSAGES",
		"XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "SYSTEMROOT", "COMSPEC", "PATHEXT", "TEMP", "TMP",
	}, more...) {
		if value := getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	if getenv("PATH") == "" && runtime.GOOS != "windows" {
		env = append(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
	return env
}

// tail keeps the end of what is written to it.
type tail struct {
	text []byte
	most int
}

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p[max(0, len(p)-t.most):]...)
	if len(t.text) > 2*t.most {
		t.text = append(t.text[:0], t.text[len(t.text)-t.most:]...)
	}
	return len(p), nil
}

func (t *tail) bytes() []byte { return t.text[max(0, len(t.text)-t.most):] }

// readable makes of what a command wrote a text for logs and people.
func readable(out []byte) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r < ' ', r >= 0x7f && r < 0xa0, r == utf8.RuneError:
			return -1
		}
		return r
	}, string(bytes.TrimSpace(out)))
}

// maxWhy is how much a server takes of a reason, in bytes.
const maxWhy = 1000

// reason is why something was refused, in at most maxWhy bytes: of a command's
// output the end, where programs say what is wrong.
func reason(err error) string {
	text := err.Error()
	if len(text) <= maxWhy {
		return text
	}
	var failed *commandError
	if !errors.As(err, &failed) || failed.output == "" {
		return clip(text, maxWhy-len("…")) + "…"
	}
	head, _ := strings.CutSuffix(text, failed.output)
	head = clip(head, maxWhy/2) + "…"
	rest := failed.output[len(failed.output)-(maxWhy-len(head)):]
	for len(rest) > 0 && !utf8.RuneStart(rest[0]) {
		rest = rest[1:]
	}
	return head + rest
}

// clip cuts a text off between two characters.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

// fileVariables tell where each file of a group is to be, and where its new
// content lies now.
func fileVariables(all []*rendering, s *swap) (env []string) {
	fresh := map[string]string{}
	for _, st := range s.Steps {
		fresh[st.Place] = st.fresh
	}
	for i, r := range all {
		now, changed := fresh[r.To]
		if !changed {
			now = r.To
		}
		if _, err := os.Lstat(now); err != nil {
			now = ""
		}
		env = append(env, fmt.Sprintf("%s%d=%s", fileVariable, i+1, r.To), fmt.Sprintf("%s%d=%s", newVariable, i+1, now))
	}
	return env
}
