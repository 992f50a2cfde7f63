package server_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/server"
	"github.com/setpointhq/setpoint/standard"
)

// load reads settings from a file's text and returns what is wrong with them.
func load(t *testing.T, text string, environ ...string) (*server.Settings, []string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "s.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := server.LoadSettings(standard.Drivers(), server.Sources{File: file, Environ: environ})
	var e *config.Error
	if err != nil && !errors.As(err, &e) {
		t.Fatalf("want a *config.Error, got %v", err)
	}
	var messages []string
	if e != nil {
		for _, p := range e.Problems {
			messages = append(messages, p.Message)
		}
	}
	return s, messages
}

func TestSettingsThatCannotWorkAreRefused(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       []string // how each message begins
	}{
		{"address", "http: {addr: 'localhost'}", []string{`http.addr: "localhost" is no address; write host:port or :port`}},
		{"port", "admin: {addr: ':https'}", []string{`admin.addr: "https" is no port; write a number from 0 to 65535, 0 for any that is free`}},
		{"host", "http: {addr: 'http://x:1'}", []string{`http.addr: "http://x:1" is no address; write host:port or :port`}},
		{"timeouts", "http: {header_timeout: 1ms}\nshutdown: {grace: 2h}", []string{
			"http.header_timeout: must be from 100ms to 1h, is 1ms", "shutdown.grace: must be from 100ms to 1h, is 2h0m0s",
		}},
		{"key without certificate", "tls: {key_file: k}", []string{"tls.cert_file: is missing; key_file needs it"}},
		{"plain where others reach it", "tls: {enabled: false}", []string{
			`tls.enabled: is false, but http.addr ":7400" can be reached from other machines, who could read passwords on the way; listen on 127.0.0.1, or set tls.plain_remote if a proxy in front ends TLS`,
		}},
		{"words", "log: {level: loud, format: xml}", []string{
			`log.level: "loud" is none of debug, info, warn, error`, `log.format: "xml" is neither text nor json`,
		}},
		{"drivers", "auth: []\nprotocols: {}\nformats: [ini]", []string{
			"auth: names none; without one nobody can come in", "protocols: names none; without one nothing can be asked",
			`formats: no format driver "ini" in this build; it has json, `,
		}},
		{"a driver's own", "store: {etcd: {max_txn_ops: 0}}", []string{"store.etcd.max_txn_ops: "}},
		{"protocol's own", "protocols: {rest: {max_watchers: 0}}", []string{"protocols.rest.max_watchers: "}},
		{"limits", "limits: {keep_releases: 0}", []string{"limits.keep_releases: "}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, got := load(t, tc.text)
			for i := range min(len(got), len(tc.want)) {
				got[i] = got[i][:min(len(got[i]), len(tc.want[i]))]
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestPlainHTTPIsAllowedWhereNobodyListensIn(t *testing.T) {
	for _, text := range []string{
		"tls: {enabled: false}\nhttp: {addr: '127.0.0.1:7400'}",
		"tls: {enabled: false}\nhttp: {addr: 'localhost:7400'}",
		"tls: {enabled: false}\nhttp: {addr: '[::1]:7400'}",
		"tls: {enabled: false, plain_remote: true}",
	} {
		if _, got := load(t, text); got != nil {
			t.Errorf("%s: want no problem, got %q", text, got)
		}
	}
}

// The client's variables, and those that Kubernetes makes, are not the node's.
func TestForeignVariablesAreLeftAlone(t *testing.T) {
	_, got := load(t, "", "SETPOINT_TOKEN=x", "SETPOINT_ENDPOINT=x", "SETPOINT_CONTEXT=x", "SETPOINT_CA_FILE=x", "SETPOINT_FINGERPRINT=x", "SETPOINT_CONFIG=x",
		"SETPOINT_SERVICE_HOST=10.0.0.1", "SETPOINT_PORT=tcp://10.0.0.1:7400", "SETPOINT_PORT_7400_TCP_ADDR=10.0.0.1")
	if got != nil {
		t.Errorf("want no problem, got %q", got)
	}
	if _, got := load(t, "", "SETPOINT_TOKENS=x"); len(got) != 1 {
		t.Errorf("want one problem, got %q", got)
	}
}

func TestVariablesGoOverTheFile(t *testing.T) {
	s, problems := load(t, "http: {addr: '127.0.0.1:1'}\nlimits: {config_size: 2MiB}", "SETPOINT_HTTP_ADDR=127.0.0.1:2", "SETPOINT_STORE_ETCD_DATA_DIR=elsewhere")
	if problems != nil {
		t.Fatal(problems)
	}
	if s.HTTP.Addr != "127.0.0.1:2" || s.Limits.ConfigSize != 2<<20 {
		t.Errorf("want the variable's address and the file's limit, got %s and %d", s.HTTP.Addr, s.Limits.ConfigSize)
	}
}

func TestMissingFileIsNamed(t *testing.T) {
	_, err := server.LoadSettings(standard.Drivers(), server.Sources{File: "nowhere.yaml"})
	if want := "settings nowhere.yaml: invalid: the file cannot be read: no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("want %q, got %v", want, err)
	}
}
