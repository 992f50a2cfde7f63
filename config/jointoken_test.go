package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
)

var (
	joinID      = "k7wq3n5xv2bd"
	joinSecret  = "abcdefghijklmnopqrstuvwx27"
	joinPrint   = strings.Repeat("0123456789abcdef", 4)
	joinExample = "spj_" + joinID + "_" + joinSecret + "_" + joinPrint
)

func TestJoinTokenIsReadAsItIsWritten(t *testing.T) {
	token := config.JoinTokenText{ID: joinID, Secret: config.NewSecret(joinSecret), Fingerprint: joinPrint}
	if got := token.Text().Reveal(); got != joinExample {
		t.Errorf("want %q, got %q", joinExample, got)
	}
	for _, text := range []string{joinExample, joinExample + "\n", "  " + joinExample} {
		got, err := config.ParseJoinToken(config.NewSecret(text))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(token, got, cmp.AllowUnexported(config.Secret{})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestParseJoinTokenRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":             "",
		"the prefix alone":    "spj_",
		"an API token":        "sp_k7wq3n5xv2bd_" + joinSecret,
		"no fingerprint":      "spj_" + joinID + "_" + joinSecret,
		"an upper-case id":    strings.Replace(joinExample, "k7wq", "K7wq", 1),
		"a short secret":      strings.Replace(joinExample, joinSecret, joinSecret[1:], 1),
		"an odd secret":       strings.Replace(joinExample, joinSecret, "1"+joinSecret[1:], 1),
		"a moved separator":   strings.Replace(joinExample, "bd_a", "b_da", 1),
		"another separator":   strings.Replace(joinExample, "bd_a", "bd-a", 1),
		"an upper-case print": "spj_" + joinID + "_" + joinSecret + "_" + strings.ToUpper(joinPrint),
		"a print with colons": joinExample[:len(joinExample)-3] + ":ef",
		"a letter too many":   joinExample + "0",
		"one more part":       joinExample[:len(joinExample)-2] + "_0",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := config.ParseJoinToken(config.NewSecret(text))
			if err == nil || config.KindOf(err) != config.Invalid {
				t.Fatalf("want it refused, got %+v, %v", got, err)
			}
			if len(text) > 8 && strings.Contains(err.Error(), text[4:]) {
				t.Errorf("the error repeats the token: %v", err)
			}
		})
	}
}

func FuzzParseJoinToken(f *testing.F) {
	for _, seed := range []string{"", "spj_", joinExample, joinExample + "\n", joinExample[:40], "spj___", strings.ToUpper(joinExample)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		token, err := config.ParseJoinToken(config.NewSecret(text))
		if err != nil {
			return
		}
		if got := token.Text().Reveal(); got != strings.TrimSpace(text) {
			t.Errorf("accepted %q, which is written %q", text, got)
		}
	})
}
