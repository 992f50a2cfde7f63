package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/cmd/setpoint/cli"
	"github.com/setpointhq/setpoint/internal/backup"
	"github.com/setpointhq/setpoint/test/harness"
)

// typing runs a client command in this process against a server.
func typing(t testing.TB, environ []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	root := cli.Root(cli.Env{Args: args, Environ: environ, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Version: "test"})
	code = cli.Run(t.Context(), root)
	return out.String(), errs.String(), code
}

func TestBackupCommand(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	c := s.Client(t)
	build(t, c, "acme/shop/prod")
	session, err := c.Login(t.Context(), "admin", s.AdminPassword, 0)
	must(t, err)
	environ := []string{"SETPOINT_ENDPOINT=" + s.URL, "SETPOINT_FINGERPRINT=" + s.Fingerprint, "SETPOINT_TOKEN=" + session.Token.Reveal()}
	dir := t.TempDir()
	run := func(want int, args ...string) (string, string) {
		t.Helper()
		out, errs, code := typing(t, environ, append([]string{"backup"}, args...)...)
		if code != want {
			t.Errorf("%q: want exit code %d, got %d, %.200q %s", args, want, code, out, errs)
		}
		return out, errs
	}
	only := func(want int) {
		t.Helper()
		if got := readTree(t, dir).names(); len(got) != want {
			t.Errorf("want %d files, got %q", want, got)
		}
	}

	file := filepath.Join(dir, "a.backup")
	out, _ := run(0, file)
	if !strings.Contains(out, "revision") || !strings.Contains(out, file) {
		t.Errorf("want it said what was written, got %q", out)
	}
	first, err := backup.Verify(t.Context(), file)
	must(t, err)
	if mode, err := os.Stat(file); err != nil || mode.Mode().Perm() != 0o600 {
		t.Errorf("want it for its owner alone, got %v %v", mode.Mode(), err)
	}

	// A file that is there stays as it is, unless that is wanted.
	_, errs := run(5, file)
	if !strings.Contains(errs, "--force") {
		t.Errorf("want it said how, got %q", errs)
	}
	if again, err := backup.Verify(t.Context(), file); err != nil || again != first {
		t.Errorf("want the file as it was, got %+v, %v", again, err)
	}
	run(0, "--force", file)
	if again, err := backup.Verify(t.Context(), file); err != nil || again.Revision <= first.Revision {
		t.Errorf("want a newer one, got %+v, %v", again, err)
	}
	only(1)

	// In a directory it has a name of its own.
	out, _ = run(0, dir, "-o", "json")
	var told struct {
		File string `json:"file"`
		client.BackupInfo
	}
	must(t, json.Unmarshal([]byte(out), &told))
	info, err := backup.Verify(t.Context(), told.File)
	if err != nil || told.Revision != info.Revision || told.Size != info.Size || filepath.Base(told.File) != backup.FileName(info.Installation, info.Created) {
		t.Errorf("want it told what is there, got %+v and %+v, %v", told, info, err)
	}
	only(2)

	out, _ = run(0, "-")
	if _, _, err := backup.Open(strings.NewReader(out)); err != nil {
		t.Errorf("want it on standard output, got %v", err)
	}
	run(1, filepath.Join(dir, "none", "a.backup"))
	_, err = c.CreateUser(t.Context(), client.NewUser{Name: "mallory", Service: true})
	must(t, err)
	token, err := c.CreateToken(t.Context(), client.NewToken{User: "mallory"})
	must(t, err)
	environ[2] = "SETPOINT_TOKEN=" + token.Secret.Reveal()
	run(4, filepath.Join(dir, "b.backup"))
	only(2)
}

// TestBackupCommandKeepsNothingThatIsNotWhole has a server that breaks off, and
// one that ends too early without a word.
func TestBackupCommandKeepsNothingThatIsNotWhole(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	file, _ := take(t, s.Client(t))
	whole, err := os.ReadFile(file)
	must(t, err)
	for name, answer := range map[string]func(w http.ResponseWriter){
		"broken off": func(w http.ResponseWriter) {
			_, _ = w.Write(whole[:len(whole)-1])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
		"too short": func(w http.ResponseWriter) { _, _ = w.Write(whole[:len(whole)-1]) },
		"altered":   func(w http.ResponseWriter) { _, _ = w.Write(append([]byte("S"), whole[1:]...)) },
		"empty":     func(http.ResponseWriter) {},
	} {
		t.Run(name, func(t *testing.T) {
			half := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w) }))
			defer half.Close()
			dir := t.TempDir()
			_, errs, code := typing(t, []string{"SETPOINT_ENDPOINT=" + half.URL, "SETPOINT_TOKEN=x"}, "backup", filepath.Join(dir, "a.backup"))
			if code != 7 {
				t.Errorf("want exit code 7, got %d, %s", code, errs)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("want nothing kept, got %v, %v", left, err)
			}
		})
	}
}
