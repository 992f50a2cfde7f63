package server

import (
	"net"
	"strings"
	"testing"
)

func TestURLsAreThoseThatOneCanReach(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:0": "https://localhost:",
		"[::1]:0":     "https://[::1]:",
		":0":          "https://n1.example.org:",
	} {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		p := port{listener: l, secure: true}
		if got := p.urlFrom("n1.example.org"); !strings.HasPrefix(got, want) {
			t.Errorf("%s: want %s…, got %s", addr, want, got)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}
