// Package audittest is the suite that every driver of audit sinks passes: order,
// at least once through failures, hostile texts, cancellation, flushing, and no
// goroutine left behind. A driver's test opens the sink and reads back what came.
package audittest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/config"
)

// Peer is a sink together with the place where its records arrive.
type Peer struct {
	Sink audit.Sink
	// Arrived returns everything that has arrived so far, in order, repeats
	// included. It waits until at least so many different ones have.
	Arrived func(t *testing.T, atLeast int) []audit.Record
	// Reopen opens another sink with the same settings; the first is closed.
	Reopen func(t *testing.T) audit.Sink
	// Break makes the place refuse or lose what is sent, and returns when it
	// does; Mend undoes that. Both nil: it cannot be broken.
	Break, Mend func(t *testing.T)
	// Hang makes the place take its time for ever and returns a channel that is
	// closed when a Write is in its hands. nil: it cannot.
	Hang func(t *testing.T) <-chan struct{}
}

// Sink runs the suite. open is called for every case and cleans up by t.Cleanup.
func Sink(t *testing.T, open func(t *testing.T) Peer) {
	for _, tc := range []struct {
		name string
		test func(*testing.T, Peer)
	}{
		{"records arrive in order", inOrder},
		{"a whole batch", wholeBatch},
		{"an empty batch", emptyBatch},
		{"hostile texts", hostileTexts},
		{"the same again", theSameAgain},
		{"what cannot be encoded", unencodable},
		{"a failure loses nothing", throughFailures},
		{"closing", closing},
		{"opening again", openingAgain},
		{"a canceled call", canceled},
		{"a peer that hangs", hanging},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			t.Cleanup(func() { goleak.VerifyNone(t, before) }) // the last of the cleanups
			tc.test(t, open(t))
		})
	}
}

// Records makes so many records, the first of them with the number from.
func Records(from, count int) []audit.Record {
	records := make([]audit.Record, count)
	for i := range records {
		n := from + i
		records[i] = audit.Record{
			ID: fmt.Sprintf("%016d", n), Time: time.Date(2026, 11, 24, 1, 2, 3, n*1000, time.UTC),
			Actor:  audit.Actor{Subject: "oidc:ann", Method: "oidc", Address: "192.0.2.7", RequestID: fmt.Sprint("request-", n)},
			Action: "config.publish", Path: config.Path{Tenant: "acme", App: "checkout", Env: "prod", Name: "app.yaml"},
			Outcome: audit.Done, Comment: fmt.Sprint("comment ", n),
			Items:  []config.ChangeItem{{Path: config.Path{Tenant: "acme", App: "checkout", Env: "prod", Name: "app.yaml"}, Version: int64(n), Format: "yaml"}},
			Detail: map[string]string{"before": "sha256:0", "after": "sha256:1"}, Revision: "r7",
		}
	}
	return records
}

// Decode reads a line of JSON back.
func Decode(tb testing.TB, line []byte) audit.Record {
	tb.Helper()
	var r audit.Record
	if err := json.Unmarshal(line, &r); err != nil {
		tb.Fatalf("not a record: %q: %v", clip(line), err)
	}
	return r
}

func clip(b []byte) []byte { return b[:min(len(b), 200)] }

func write(t *testing.T, s audit.Sink, records []audit.Record) {
	t.Helper()
	if err := s.Write(t.Context(), records); err != nil {
		t.Fatal(err)
	}
}

// same compares what arrived with what JSON makes of the records.
func same(t *testing.T, want, got []audit.Record) {
	t.Helper()
	encoded, err := audit.Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	decoded := make([]audit.Record, 0, len(want))
	for _, e := range encoded {
		decoded = append(decoded, Decode(t, e.JSON))
	}
	if diff := cmp.Diff(decoded, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// firsts drops repeats, as whoever reads a sink does.
func firsts(records []audit.Record) []audit.Record {
	seen, once := map[string]bool{}, []audit.Record(nil)
	for _, r := range records {
		if !seen[r.ID] {
			once = append(once, r)
		}
		seen[r.ID] = true
	}
	return once
}

func refused(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("want an error, got none")
	}
	if config.KindOf(err) == config.Invalid {
		t.Fatalf("want an error after which the records come again, got an Invalid one: %v", err)
	}
}

func inOrder(t *testing.T, p Peer) {
	all := Records(1, 40)
	for _, cut := range [][2]int{{0, 1}, {1, 2}, {2, 17}, {17, 40}} {
		write(t, p.Sink, all[cut[0]:cut[1]])
	}
	same(t, all, p.Arrived(t, len(all)))
}

func wholeBatch(t *testing.T, p Peer) {
	all := Records(1, audit.MaxBatch)
	write(t, p.Sink, all)
	same(t, all, p.Arrived(t, len(all)))
}

func emptyBatch(t *testing.T, p Peer) {
	write(t, p.Sink, nil)
	write(t, p.Sink, Records(1, 1))
	write(t, p.Sink, nil)
	same(t, Records(1, 1), p.Arrived(t, 1))
}

func hostileTexts(t *testing.T, p Peer) {
	texts := []string{
		"", "\n", "\r\n{\"id\":\"forged\"}\n", "\x00\x1b[2J\x07\x7f\u009b", "\u202egnp.exe\u2066", "\u2028\u2029\ufeff",
		`"]\`, `<script>&amp;%s%n${jndi:ldap://x}`, "\xff\xfe\xc0\x80", "😀\U000e0041", "0 <14>1 - - - - - -", strings.Repeat("long 长\n", 4_000),
	}
	records := Records(1, len(texts))
	for i, text := range texts {
		r := &records[i]
		r.Comment, r.Subject, r.Action = text, text, text
		r.Actor.Subject, r.Actor.Address, r.Actor.RequestID, r.Actor.Method = text, text, text, text
		r.Detail = map[string]string{"text": text, text: "key"}
	}
	write(t, p.Sink, records)
	same(t, records, p.Arrived(t, len(records)))
}

func theSameAgain(t *testing.T, p Peer) {
	records := Records(1, 3)
	write(t, p.Sink, records)
	write(t, p.Sink, records)
	write(t, p.Sink, Records(2, 3))
	same(t, Records(1, 4), firsts(p.Arrived(t, 4)))
}

func unencodable(t *testing.T, p Peer) {
	records := Records(1, 3)
	records[1].Time = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)
	err := p.Sink.Write(t.Context(), records)
	if want, got := config.Invalid, config.KindOf(err); err == nil || want != got {
		t.Errorf("want %v, got %v: %v", want, got, err)
	}
	same(t, []audit.Record{records[0], records[2]}, p.Arrived(t, 2))
}

func throughFailures(t *testing.T, p Peer) {
	if p.Break == nil {
		return
	}
	write(t, p.Sink, Records(1, 5))
	p.Break(t)
	batch := Records(6, 5)
	refused(t, p.Sink.Write(t.Context(), batch))
	refused(t, p.Sink.Write(t.Context(), batch))
	p.Mend(t)
	write(t, p.Sink, batch)
	write(t, p.Sink, Records(11, 1))
	same(t, Records(1, 11), firsts(p.Arrived(t, 11)))
}

func closing(t *testing.T, p Peer) {
	write(t, p.Sink, Records(1, 2))
	if err := p.Sink.Close(); err != nil {
		t.Error(err)
	}
	if err := p.Sink.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
	refused(t, p.Sink.Write(t.Context(), Records(3, 1)))
	same(t, Records(1, 2), p.Arrived(t, 2))
}

func openingAgain(t *testing.T, p Peer) {
	write(t, p.Sink, Records(1, 2))
	if err := p.Sink.Close(); err != nil {
		t.Error(err)
	}
	again := p.Reopen(t)
	write(t, again, Records(3, 2))
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	same(t, Records(1, 4), p.Arrived(t, 4))
}

func canceled(t *testing.T, p Peer) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	refused(t, p.Sink.Write(ctx, Records(1, 2)))
	write(t, p.Sink, Records(1, 2))
	same(t, Records(1, 2), firsts(p.Arrived(t, 2)))
}

func hanging(t *testing.T, p Peer) {
	if p.Hang == nil {
		return
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reached, done := p.Hang(t), make(chan error, 1)
	go func() { done <- p.Sink.Write(ctx, Records(1, audit.MaxBatch)) }()
	<-reached
	cancel()
	refused(t, <-done)
}
