package etcd

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
)

// What passes by itself is told once, and once more a minute later; what ends it
// is told, too; what a member does on purpose is not.
func TestLogOfAClusterLife(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		shown := slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})
		log := zapLogger(slog.New(shown), func(string) {})
		lost := func(peer string) {
			log.Warn("peer became inactive (message send to peer failed)", zap.String("peer-id", peer), zap.Error(errors.New("EOF")))
		}
		lost("a")
		lost("a")
		lost("b")
		log.Info("peer became active", zap.String("peer-id", "a"))
		log.Info("of no interest")
		log.Warn("lost TCP streaming connection with remote peer", zap.String("remote-peer-id", "a"))
		log.Warn("prober detected unhealthy status", zap.Error(errors.New("read: context canceled")))
		log.Warn("rejecting member add request; not enough healthy members")
		log.Error("broken", zap.String("peer-id", "a"))
		log.Error("broken", zap.String("peer-id", "a"))
		<-time.After(quiet)
		lost("a")
		for i := range maxQuiets {
			log.Warn(fmt.Sprint("one of many ", i))
		}
		want := []string{
			`level=WARN msg="peer became inactive (message send to peer failed)" peer_id=a error=EOF`,
			`level=WARN msg="peer became inactive (message send to peer failed)" peer_id=b error=EOF`,
			`level=INFO msg="peer became active" peer_id=a`,
			`level=ERROR msg=broken peer_id=a`,
			`level=ERROR msg=broken peer_id=a`,
			`level=WARN msg="peer became inactive (message send to peer failed)" peer_id=a error=EOF`,
		}
		got := strings.Split(strings.TrimSpace(out.String()), "\n")
		if diff := cmp.Diff(want, got[:min(len(want), len(got))]); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
		if n := len(log.Core().(*bridge).said.last); n > maxQuiets {
			t.Errorf("%d warnings are remembered, want at most %d", n, maxQuiets)
		}
	})
}
