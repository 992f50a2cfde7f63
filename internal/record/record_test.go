package record

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

var path = config.Path{Tenant: "acme", App: "shop", Env: "dev", Name: "app.json"}

func TestAuditKeysPutTheNewestFirst(t *testing.T) {
	ids := []string{"00000000000000a0", "0000000000000001", "ffffffffffffffff", "123456789abcdef0", "0f"}
	slices.Sort(ids)
	var keys []string
	for _, id := range ids {
		key := AuditKey("acme", id)
		keys = append(keys, key)
		if back := complement(strings.TrimPrefix(key, AuditPrefix("acme"))); back != id {
			t.Errorf("complement of complement: want %s, got %s", id, back)
		}
	}
	slices.Reverse(keys)
	if !slices.IsSorted(keys) {
		t.Errorf("keys of rising ids should fall: %q", keys)
	}
}

func TestReleaseKeysOrderAsVersionsDo(t *testing.T) {
	var keys []string
	for _, v := range []int64{1, 2, 9, 10, 99, 100, 1 << 40} {
		key := ReleaseKey(path, v)
		keys = append(keys, key)
		section, rest := Split(key)
		back, version, err := SplitVersion(rest)
		if section != Releases || back != path.String() || version != v || err != nil {
			t.Errorf("%s: got %c, %s, %d, %v", key, section, back, version, err)
		}
	}
	if !slices.IsSorted(keys) {
		t.Errorf("not in order: %q", keys)
	}
}

func TestReleaseGoesInlineUpToTheBound(t *testing.T) {
	for _, size := range []int{0, 1, InlineContent, InlineContent + 1} {
		content := bytes.Repeat([]byte("x"), size)
		want := config.Release{Path: path, Version: 1, Size: int64(size)}
		value, separate := EncodeRelease(want, content)
		got, inner, inline, err := DecodeRelease(value)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d bytes: %s", size, diff)
		}
		if wantInline := size <= InlineContent; inline != wantInline || (separate == nil) != wantInline {
			t.Errorf("%d bytes: want inline %v, got %v, separate %d", size, wantInline, inline, len(separate))
		}
		if !bytes.Equal(append(inner, separate...), content) {
			t.Errorf("%d bytes: the content did not come back", size)
		}
	}
}

// TestSecretsAreStoredButNeverShown holds the two encodings of identities apart.
func TestSecretsAreStoredButNeverShown(t *testing.T) {
	user := auth.User{Name: "ann", PasswordHash: "$argon2id$secret"}
	token := auth.Token{ID: "t", User: "ann", SecretHash: []byte("0123456789"), Renewal: []byte("0123456789"), RenewAt: time.Unix(1, 0).UTC(), RenewBy: time.Unix(2, 0).UTC()}
	if back, err := DecodeUser(EncodeUser(user)); err != nil || back.PasswordHash != user.PasswordHash {
		t.Errorf("user: %+v, %v", back, err)
	}
	if back, err := DecodeToken(EncodeToken(token)); err != nil || !bytes.Equal(back.SecretHash, token.SecretHash) {
		t.Errorf("token: %+v, %v", back, err)
	}
	if back, err := DecodeToken(EncodeToken(token)); err != nil || !bytes.Equal(back.Renewal, token.Renewal) || !back.RenewAt.Equal(token.RenewAt) || !back.RenewBy.Equal(token.RenewBy) {
		t.Errorf("renewal: %+v, %v", back, err)
	}
	for _, noun := range []any{user, token} {
		shown, err := json.Marshal(noun)
		if err != nil || bytes.Contains(shown, []byte("argon2id")) || bytes.Contains(shown, []byte("MDEyMzQ1Njc4OQ")) {
			t.Errorf("%T shows its secret: %s, %v", noun, shown, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	value, _ := EncodeRelease(config.Release{Path: path, Version: 1}, []byte("content"))
	f.Add(value)
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 12))
	f.Fuzz(func(_ *testing.T, value []byte) {
		// Whatever lies in the store, reading it is an error and never a panic.
		_, _, _, _ = DecodeRelease(value)
		_, _ = DecodeDraft(value)
		_, _ = DecodeUser(value)
		_, _ = DecodeToken(value)
		section, rest := Split(string(value))
		_, _, _ = SplitVersion(rest)
		_ = section
	})
}

// The store writes the keys of offices by itself; they must lie where no other
// noun does.
func TestOfficesHaveASectionOfTheirOwn(t *testing.T) {
	if got, want := Offices.Key("audit"), store.OfficeKey("audit"); want != got {
		t.Errorf("want %s, got %s", want, got)
	}
}
