package audit_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/config"
)

func TestARecordIsOneLineOfJSON(t *testing.T) {
	record := audit.Record{
		ID: "7", Time: time.Date(2026, 11, 24, 1, 2, 3, 0, time.UTC), Action: "user.create", Outcome: audit.Done,
		Actor: audit.Actor{Subject: "ann", Method: "basic"}, Subject: "bob",
	}
	for _, tc := range []struct{ name, comment, want string }{
		{"plain", "why not", `"why not"`},
		{"line feeds", "a\nb\r\nc", `"a\nb\r\nc"`},
		{"controls of a terminal", "\x1b[2J\x7f\u009b1m", `"\u001b[2J\u007f\u009b1m"`},
		{"text turned round", "a\u202eb\u2066", `"a\u202eb\u2066"`},
		{"beyond the basic plane", "\U000e0041😀", `"\udb40\udc41😀"`},
		{"separators of JavaScript", "\u2028\u2029", `"\u2028\u2029"`},
		{"no UTF-8", "\xff", `"\ufffd"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			record.Comment = tc.comment
			got, err := audit.AppendJSON([]byte("before "), record)
			if err != nil {
				t.Fatal(err)
			}
			want := `before {"id":"7","time":"2026-11-24T01:02:03Z","actor":{"subject":"ann","method":"basic"},"action":"user.create",` +
				`"path":"","subject":"bob","outcome":"done","comment":` + tc.want + `}`
			if diff := cmp.Diff(want, string(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestWhatJSONCannotHoldIsLeftOut(t *testing.T) {
	records := []audit.Record{{ID: "1"}, {ID: "2", Time: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)}, {ID: "3"}}
	encoded, err := audit.Encode(records)
	if want, got := config.Invalid, config.KindOf(err); err == nil || want != got {
		t.Errorf("want %v, got %v: %v", want, got, err)
	}
	var got []string
	for _, e := range encoded {
		got = append(got, e.ID)
	}
	if diff := cmp.Diff([]string{"1", "3"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func FuzzAppendJSON(f *testing.F) {
	for _, seed := range []string{"", "a\nb", "\x1b[2J", "\u202e", "\xff\xfe", `"\`, "\U000e0041", "\\u000a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		line, err := audit.AppendJSON(nil, audit.Record{ID: text, Comment: text, Detail: map[string]string{text: text}})
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.IndexFunc(line, unicode.IsControl); at >= 0 {
			t.Fatalf("a control character at %d of %q", at, line)
		}
		var got audit.Record
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatal(err)
		}
		if utf8.ValidString(text) && got.Comment != text {
			t.Errorf("want %q, got %q", text, got.Comment)
		}
	})
}
