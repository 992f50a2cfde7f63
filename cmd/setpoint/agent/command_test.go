//go:build unix

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestCommands(t *testing.T) {
	env := []string{"PATH=" + os.Getenv("PATH"), "SETPOINT_NEW_1=/new one", "SETPOINT_FILE_1=/file"}
	for _, c := range []struct {
		name    string
		command Command
		want    string // of the error; empty for none
	}{
		{"good", Command{Shell: "true"}, ""},
		{"bad", Command{Shell: "echo out; echo err >&2; exit 3"}, "echo out; echo err >&2; exit 3: exit status 3: out\nerr"},
		{"arguments as they are", Command{Args: []string{"sh", "-c", `echo "$1|$2"; exit 1`, "sh", "a  b", "${SETPOINT_NEW_1}:$HOME"}}, "exit status 1: a  b|/new one:$HOME"},
		{"variables", Command{Shell: `echo "$SETPOINT_NEW_1 $SETPOINT_FILE_1 ${TOKEN-none}"; exit 1`}, ": /new one /file none"},
		{"no such program", Command{Args: []string{"no-such-program"}}, "executable file not found"},
		{"what it leaves running", Command{Shell: "sleep 100 & echo $! > \"$PIDFILE\""}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			pid := filepath.Join(t.TempDir(), "pid")
			err := run(t.Context(), invocation{Command: c.command, env: append(env, "PIDFILE="+pid), timeout: time.Minute})
			if left, failed := os.ReadFile(pid); failed == nil {
				var n int
				fmt.Sscan(string(left), &n)
				if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
					t.Errorf("what the command left running: want it to run, got %v", err)
				}
			}
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.HasSuffix(err.Error(), c.want) && !strings.Contains(err.Error(), c.want) {
				t.Errorf("want %q, got %v", c.want, err)
			}
		})
	}
}

func TestTimeout(t *testing.T) {
	err := run(t.Context(), invocation{Command: Command{Shell: "sleep 1000"}, env: []string{"PATH=" + os.Getenv("PATH")}, timeout: 50 * time.Millisecond})
	if err == nil || !strings.HasSuffix(err.Error(), "sleep 1000: killed after 50ms") {
		t.Errorf("want that it was killed, got %v", err)
	}
}

// A command is killed with its children and theirs.
func TestKilledWithAllThatItStarted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	// The grandchild alone holds the pipe: its end is the end of the file.
	ended := make(chan error, 1)
	go func() {
		f, err := os.Open(fifo) // waits for the grandchild
		cancel()
		if err == nil {
			_, err = io.Copy(io.Discard, f)
			f.Close()
		}
		ended <- err
	}()
	err := run(ctx, invocation{
		Command: Command{Shell: `sh -c '(exec sleep 1000 > "$FIFO") & wait' & wait`},
		env:     []string{"PATH=" + os.Getenv("PATH"), "FIFO=" + fifo}, timeout: time.Hour,
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("want that it was canceled, got %v", err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("a grandchild outlived its command")
	}
}

func TestEnvironment(t *testing.T) {
	all := map[string]string{"PATH": "/p", "LANG": "C", tokenVariable: "secret", "AWS_SECRET": "secret", "MINE": "1"}
	got := environment(func(name string) string { return all[name] }, []string{"MINE", "UNSET"})
	if diff := cmp.Diff([]string{"PATH=/p", "LANG=C", "MINE=1"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := environment(noEnv, nil); len(got) != 1 || !strings.HasPrefix(got[0], "PATH=/usr/local/sbin:") {
		t.Errorf("want a PATH, got %v", got)
	}
}

func TestTail(t *testing.T) {
	for _, c := range []struct {
		name   string
		writes []string
		want   string
	}{
		{"nothing", nil, ""},
		{"little", []string{"a", "b"}, "ab"},
		{"much at once", []string{"0123456789"}, "6789"},
		{"much bit by bit", strings.Split("0123456789abcdef", ""), "cdef"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &tail{most: 4}
			for _, w := range c.writes {
				if n, err := b.Write([]byte(w)); n != len(w) || err != nil {
					t.Errorf("want %d, got %d, %v", len(w), n, err)
				}
			}
			if got := string(b.bytes()); got != c.want || cap(b.text) > 64 {
				t.Errorf("want %q in little room, got %q in %d", c.want, got, cap(b.text))
			}
		})
	}
	// A command that never stops writing costs no more than that.
	err := run(t.Context(), invocation{Command: Command{Shell: `i=0; while [ $i -lt 3000 ]; do echo 0123456789; i=$((i+1)); done; printf 'the \033[31mend\200'; exit 1`}, timeout: time.Minute, env: []string{"PATH=/bin"}})
	var failed *commandError
	if !errors.As(err, &failed) || len(failed.output) > maxOutput || !strings.HasSuffix(failed.output, "the [31mend") {
		t.Errorf("want the end of the output, readable, got %v", err)
	}
}

func TestReason(t *testing.T) {
	long := strings.Repeat("ä", 4000)
	for _, c := range []struct {
		name       string
		err        error
		head, tail string
	}{
		{"short", errors.New("why"), "why", "why"},
		{"a long text", errors.New("x" + long), "xää", "ä…"},
		{"a command's output", fmt.Errorf("group: %w", &commandError{"nginx -t", errors.New("exit status 1"), long + "the end"}), "group: nginx -t: exit status 1: …ä", "äthe end"},
		{"a long command", &commandError{long, errors.New("exit status 1"), long + "the end"}, "ää", "äthe end"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := reason(c.err)
			if len(got) > maxWhy || !utf8.ValidString(got) || !strings.HasPrefix(got, c.head) || !strings.HasSuffix(got, c.tail) {
				t.Errorf("want at most %d bytes from %q to %q, got %d: %q", maxWhy, c.head, c.tail, len(got), got)
			}
		})
	}
}
