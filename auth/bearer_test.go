package auth_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

var bearerPattern = regexp.MustCompile(`^sp_[a-z2-7]{12}_[A-Za-z0-9_-]{43}$`)

func TestNewBearerIsParsedAndMatchesItsHashOnly(t *testing.T) {
	seen := map[string]bool{}
	_, _, otherHash := auth.NewBearer()
	for range 100 {
		id, full, stored := auth.NewBearer()
		if !bearerPattern.MatchString(full.Reveal()) {
			t.Fatalf("want sp_<id>_<secret>, got %q", full.Reveal())
		}
		gotID, hash, ok := auth.ParseBearer(full)
		if !ok || gotID != id || !hash.Matches(stored) {
			t.Fatalf("want id %q and a matching hash, got %q, ok %v", id, gotID, ok)
		}
		if hash.Matches(otherHash) || hash.Matches(nil) || hash.Matches(stored[:31]) {
			t.Error("want another's, a missing and a cut hash refused")
		}
		if seen[id] {
			t.Errorf("want a new id each time, got %q twice", id)
		}
		seen[id] = true
	}
}

// A secret of 43 letters ends in bits that must be zero: "A" ends so, "B" does not.
var (
	zeroSecret = strings.Repeat("A", 43)
	goodBearer = "sp_abcdefgh2345_" + zeroSecret
)

func TestParseBearerRefuses(t *testing.T) {
	if _, _, ok := auth.ParseBearer(config.NewSecret(goodBearer)); !ok {
		t.Fatalf("want %q accepted, or the cases below prove nothing", goodBearer)
	}
	tests := map[string]string{
		"nothing":                  "",
		"the prefix alone":         "sp_",
		"another prefix":           "gh_abcdefgh2345_" + zeroSecret,
		"an upper-case prefix":     "SP_abcdefgh2345_" + zeroSecret,
		"an upper-case id":         "sp_Abcdefgh2345_" + zeroSecret,
		"a digit outside base32":   "sp_abcdefgh1234_" + zeroSecret,
		"a short id":               "sp_abcdefgh234_A" + zeroSecret,
		"no second separator":      "sp_abcdefgh2345-" + zeroSecret,
		"a secret cut short":       goodBearer[:len(goodBearer)-1],
		"a secret with more":       goodBearer + "A",
		"padding":                  goodBearer[:len(goodBearer)-1] + "=",
		"plain base64's alphabet":  goodBearer[:len(goodBearer)-2] + "+A",
		"stray bits at the end":    goodBearer[:len(goodBearer)-1] + "B",
		"a line break in between":  goodBearer[:len(goodBearer)-2] + "\nA",
		"white space around":       " " + goodBearer[:len(goodBearer)-1],
		"NUL":                      goodBearer[:len(goodBearer)-2] + "\x00A",
		"the id's place not ASCII": "sp_äbcdefgh234_" + zeroSecret,
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			if id, _, ok := auth.ParseBearer(config.NewSecret(text)); ok || id != "" {
				t.Errorf("want %q refused without an id, got id %q, ok %v", text, id, ok)
			}
		})
	}
}

func FuzzParseBearer(f *testing.F) {
	_, full, _ := auth.NewBearer()
	for _, seed := range []string{"", "sp_", full.Reveal(), goodBearer, goodBearer + "\n", goodBearer[:30], "Bearer " + goodBearer} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, hash, ok := auth.ParseBearer(config.NewSecret(text))
		if !ok {
			return
		}
		if !bearerPattern.MatchString(text) || text[3:15] != id {
			t.Errorf("accepted %q as the token %q", text, id)
		}
		// Flipping a bit of the secret's first letter must make another hash.
		if _, other, ok := auth.ParseBearer(config.NewSecret(text[:16] + flip(text[16]) + text[17:])); !ok || other == hash {
			t.Errorf("two secrets with one hash: %q", text)
		}
	})
}

func flip(letter byte) string {
	if letter == 'A' {
		return "Q"
	}
	return "A"
}
