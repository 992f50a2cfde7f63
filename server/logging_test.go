package server

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

func TestLogLinesOfARequestCarryItsID(t *testing.T) {
	var b bytes.Buffer
	log := NewLog(&b, LogSettings{Level: "info", Format: "json"}).With("part", "rest")
	ctx := auth.WithRequest(t.Context(), auth.Request{ID: "r1"})
	log.InfoContext(ctx, "one")
	log.InfoContext(ctx, "two", "request_id", "r2")
	log.InfoContext(context.Background(), "three")
	log.DebugContext(ctx, "four")
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 3 {
		t.Fatalf("want three lines at level info, got %q", lines)
	}
	for i, want := range []string{`"request_id":"r1"`, `"request_id":"r2"`, ""} {
		if got := strings.Count(lines[i], "request_id"); want == "" && got != 0 || want != "" && (got != 1 || !strings.Contains(lines[i], want)) {
			t.Errorf("line %d: want %q once, got %s", i+1, want, lines[i])
		}
	}
}

func TestSecretsAreNotLogged(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var b bytes.Buffer
		log := NewLog(&b, LogSettings{Level: "debug", Format: format})
		secret := config.NewSecret("hush")
		log.Info("a secret", "password", secret, "all", []any{secret}, slog.Group("in", "token", secret))
		log.Info("credentials", "who", auth.Credentials{Username: "alice", Password: secret, Token: secret})
		if strings.Contains(b.String(), "hush") {
			t.Errorf("%s: the secret is in the log: %s", format, &b)
		}
	}
}
