package fragment

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"testing"

	"github.com/setpointhq/setpoint/config"
)

// All who are told of a release share its encoding, and the content is read once.
func TestFragmentsAreShared(t *testing.T) {
	f, err := NewCache(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	var loads int
	load := func(context.Context, *config.Release) ([]byte, error) { loads++; return []byte("a: 1\n"), nil }
	r := &config.Release{Path: config.Path{Tenant: "a", App: "b", Env: "c", Name: "d"}, Version: 1, ChangeSet: "x"}
	var first []byte
	for range 3 {
		b, err := f.Get(t.Context(), r, ChangeContent, load)
		if err != nil || first != nil && &first[0] != &b[0] {
			t.Fatalf("want the same bytes, got %v", err)
		}
		first = b
	}
	if loads != 1 {
		t.Errorf("want one load, got %d", loads)
	}
	failing := func(context.Context, *config.Release) ([]byte, error) { return nil, io.ErrClosedPipe }
	if _, err := f.Get(t.Context(), r, ReleaseContent, failing); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("want the error, got %v", err)
	}
	if _, err := f.Get(t.Context(), r, ReleaseContent, load); err != nil {
		t.Errorf("want an error not to be remembered, got %v", err)
	}
}

func TestContentThatIsNoText(t *testing.T) {
	for content, want := range map[string]string{
		"a: é\n":   `{"content":"a: é\n"}`,
		"":         `{"content":""}`,
		"\xff\x00": `{"content_base64":"/wA="}`,
	} {
		got, err := json.Marshal(ContentOf([]byte(content)))
		if err != nil || string(got) != want {
			t.Errorf("%q: want %s, got %s %v", content, want, got, err)
		}
	}
}
