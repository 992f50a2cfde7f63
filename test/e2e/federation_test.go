package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/setpointhq/setpoint/auth/oidctest"
	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// desk is a machine at which somebody types commands, and what it remembers.
type desk struct {
	s    *server
	home string
}

func (s *server) desk() desk { return desk{s, s.t.TempDir()} }

// ca is the file with what vouches for the server.
func (s *server) ca() string { return filepath.Join(s.dir, "tls", "cert.pem") }

// command is the program as a process, which does not last forever.
func (d desk) command(environ []string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	d.s.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + d.home}, environ...)
	return cmd
}

// run wants a command to end with a code, and returns all that it says.
func (d desk) run(want int, args ...string) string {
	d.s.t.Helper()
	return d.ended(want, d.command(nil, args...))
}

// asRoot is run with the admin's token.
func (d desk) asRoot(args ...string) string {
	d.s.t.Helper()
	return d.ended(0, d.command([]string{"SETPOINT_ENDPOINT=" + d.s.url(""), "SETPOINT_CA_FILE=" + d.s.ca(), "SETPOINT_TOKEN=" + d.s.token.Reveal()}, args...))
}

func (d desk) ended(want int, cmd *exec.Cmd) string {
	d.s.t.Helper()
	said, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != want {
		d.s.t.Fatalf("%q: want exit code %d, got %v: %s", cmd.Args[1:], want, err, said)
	}
	return string(said)
}

// loginArgs are those of a login with the provider.
func (d desk) loginArgs() []string {
	return []string{"login", d.s.url(""), "--provider", "corp", "--ca-file", d.s.ca()}
}

// login logs in as a person does, who reads the page and the code, and consents
// there. It returns the session that is remembered.
func (d desk) login(p *oidctest.Provider) config.Secret {
	d.s.t.Helper()
	cmd := d.command(nil, d.loginArgs()...)
	var out bytes.Buffer
	cmd.Stdout = &out
	told, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		d.s.t.Fatal(err)
	}
	page, code, read := pageAndCode(told)
	if page == "" || code == "" {
		d.s.t.Fatalf("want a page and a code, got %q, %v", read, cmd.Wait())
	}
	p.Consent(d.s.t, page, code)
	rest, errRead := io.ReadAll(told)
	if err := errors.Join(errRead, cmd.Wait()); err != nil {
		d.s.t.Fatalf("want to be logged in, got %v: %s%s", err, out.String(), rest)
	}
	if want := "as corp:" + oidctest.UserID; !strings.Contains(out.String(), want) {
		d.s.t.Errorf("want it said %q, got %q", want, out.String())
	}
	return d.session()
}

// pageAndCode reads what a person is shown: two lines that are set off.
func pageAndCode(from io.Reader) (page, code, read string) {
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		read += lines.Text() + "\n"
		shown, set := strings.CutPrefix(lines.Text(), "    ")
		switch {
		case !set:
		case page == "":
			page = shown
		default:
			return page, shown, read
		}
	}
	return page, "", read
}

var tokenText = regexp.MustCompile(`sp_[0-9a-zA-Z_-]+`)

// session is that which the desk remembers.
func (d desk) session() config.Secret {
	d.s.t.Helper()
	b, err := os.ReadFile(filepath.Join(d.home, ".config", "setpoint", "contexts.yaml"))
	if err != nil {
		d.s.t.Fatal(err)
	}
	token := tokenText.Find(b)
	if token == nil {
		d.s.t.Fatal("want a session remembered")
	}
	return d.s.secret(config.NewSecret(string(token)))
}

// startFederated runs a provider, and a server whose people it vouches for.
func startFederated(t *testing.T) (*oidctest.Provider, *server) {
	t.Helper()
	p := oidctest.Start(t)
	settings := filepath.Join(t.TempDir(), "settings.yaml")
	err := os.WriteFile(settings, fmt.Appendf(nil, `auth:
  - token: {}
  - basic: {memory: 7MiB, time: 5}
  - oidc:
      name: corp
      issuer: %s
      client_id: %s
      client_secret: %s
      ca_file: %s
      groups_claim: groups
      renew_every: 1m
`, p.Issuer, oidctest.DeviceID, oidctest.DeviceSecret, p.CAFile), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, "CONFIG="+settings)
	s.secret(config.NewSecret(oidctest.DeviceSecret))
	return p, s
}

// TestPeopleLogInWithAProvider goes through the life of a person's sessions, as
// commands that are typed at two desks.
func TestPeopleLogInWithAProvider(t *testing.T) {
	p, s := startFederated(t)
	build(t, s.root(), "acme/shop/prod")
	const at = "acme/shop/prod/app.yaml"
	publish(t, s.root(), at, "color: green\n")
	robot := s.program("robot", client.Grant{Role: "client", Scope: path(t, "acme/shop/prod")})
	office, home := s.desk(), s.desk()
	wantRead := func(d desk) {
		t.Helper()
		if got := d.run(0, "get", at); !strings.Contains(got, "color: green") {
			t.Errorf("want the config, got %q", got)
		}
	}

	first := office.login(p)
	who := office.run(0, "whoami")
	for _, want := range []string{`user +corp:` + oidctest.UserID, `known to +corp`, `groups +corp:dev corp:platform`} {
		if !regexp.MustCompile(`(?m)^` + want + `$`).MatchString(who) {
			t.Errorf("want a line %q, got\n%s", want, who)
		}
	}
	office.run(4, "get", at) // nothing is bound to it
	office.asRoot("binding", "create", "--group", "corp:platform", "viewer", "acme")
	wantRead(office)

	p.Rotate(t, "second")
	p.Regroup([]string{"platform"})
	second := home.login(p)
	if got := p.Count("/keys"); got != 2 {
		t.Errorf("want the keys asked for twice, got %d times", got)
	}
	wantRead(home)
	if got := home.run(0, "whoami"); strings.Contains(got, "corp:dev") {
		t.Errorf("want the groups of now, got\n%s", got)
	}

	p.Stop()
	wantRead(office)
	if got := s.desk().run(7, office.loginArgs()...); !strings.Contains(got, "the provider corp cannot be asked now; try again later") {
		t.Errorf("want it said that the provider is down, got %q", got)
	}
	if _, err := s.as(robot.Secret).Get(t.Context(), path(t, at), client.ReadOptions{}); err != nil {
		t.Errorf("want programs unaffected, got %v", err)
	}

	office.run(0, "logout", "--everywhere")
	for name, session := range map[string]config.Secret{"the office's": first, "the other": second} {
		_, err := s.as(session).WhoAmI(t.Context())
		if config.KindOf(err) != config.Unauthenticated {
			t.Errorf("want %s session ended, got %v", name, err)
		}
	}
	home.run(4, "get", at)
	if _, err := s.as(robot.Secret).Get(t.Context(), path(t, at), client.ReadOptions{}); err != nil {
		t.Errorf("want tokens left as they are, got %v", err)
	}

	p.Resume(t)
	office.login(p)
	wantRead(office)
}
