package basic

import (
	"strings"
	"testing"
)

// goodPHC is well formed and cheap to check.
const goodPHC = "$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA"

func TestParsePHCRefuses(t *testing.T) {
	if _, err := parsePHC(goodPHC); err != nil {
		t.Fatalf("want %s accepted, or the cases below prove nothing; got %v", goodPHC, err)
	}
	replace := func(old, by string) string { return strings.Replace(goodPHC, old, by, 1) }
	tests := []struct{ name, text, want string }{
		{"nothing", "", "want $argon2id"},
		{"another algorithm", replace("argon2id", "argon2i"), "want $argon2id"},
		{"another version", replace("v=19", "v=16"), "want $argon2id"},
		{"no version", replace("$v=19", ""), "want $argon2id"},
		{"a part missing", goodPHC[:strings.LastIndexByte(goodPHC, '$')], "want $argon2id"},
		{"a part more", goodPHC + "$", "want $argon2id"},
		{"parameters in another order", replace("m=64,t=1", "t=1,m=64"), "want parameters"},
		{"no number", replace("t=1", "t=x"), "want parameters"},
		{"a negative number", replace("t=1", "t=-1"), "want parameters"},
		{"a number too big to hold", replace("p=1", "p=257"), "want parameters"},
		{"a parameter more", replace("p=1", "p=1,x=1"), "canonical"},
		{"a leading zero", replace("t=1", "t=01"), "canonical"},
		{"a plus", replace("m=64", "m=+64"), "want parameters"},
		{"a space", replace("m=64", "m= 64"), "canonical"},
		{"no passes", replace("t=1", "t=0"), "0 passes"},
		{"absurdly many passes", replace("t=1", "t=4294967295"), "4294967295 passes"},
		{"no threads", replace("p=1", "p=0"), "0 threads"},
		{"absurdly many threads", replace("p=1", "p=255"), "255 threads"},
		{"too little memory", replace("m=64", "m=7"), "7 KiB"},
		{"absurdly much memory", replace("m=64", "m=4294967295"), "4294967295 KiB"},
		{"absurdly much in all", strings.Replace(replace("m=64", "m=262144"), "t=1", "t=16", 1), "when multiplied"},
		{"a short salt", replace("$AAAAAAAAAAAAAAAAAAAAAA$", "$AAAA$"), "a salt of 3 bytes"},
		{"a short key", goodPHC[:len(goodPHC)-14], "a key of 6 bytes"},
		{"padding", goodPHC + "==", "not base64"},
		{"stray bits", goodPHC[:len(goodPHC)-1] + "B", "not base64"},
		{"a line break", goodPHC + "\n", "canonical"},
		{"no end", goodPHC + strings.Repeat("A", 1<<20), "too long"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := parsePHC(test.text)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("want an error with %q, got %v", test.want, err)
			}
			if strings.Contains(err.Error(), "AAAAAAAA") {
				t.Errorf("want no part of the hash in the error, got %v", err)
			}
		})
	}
}

// The reference implementation's own test has this vector, so that hashes can
// be brought along from elsewhere.
func TestHashOfTheReferenceImplementation(t *testing.T) {
	h, err := parsePHC("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4")
	if err != nil {
		t.Fatal(err)
	}
	if !h.matches([]byte("password")) || h.matches([]byte("differentpassword")) {
		t.Error("want its password matched and no other")
	}
}

func TestHashMatchesItsPasswordOnly(t *testing.T) {
	h := newHash(params{memory: 64, time: 1, threads: 1}, []byte("secret"))
	again, err := parsePHC(h.String())
	if err != nil {
		t.Fatal(err)
	}
	if !again.matches([]byte("secret")) || again.matches([]byte("Secret")) || again.matches(nil) {
		t.Error("want the password matched and no other")
	}
	if other := newHash(h.params, []byte("secret")); other.String() == h.String() {
		t.Error("want a salt of its own for each hash")
	}
	if dummyHash(h.params).matches(nil) {
		t.Error("want a dummy to match nothing")
	}
}

func FuzzParsePHC(f *testing.F) {
	for _, seed := range []string{"", "$", "$$$$$", goodPHC, goodPHC + "\n", newHash(params{memory: 64, time: 1, threads: 1}, nil).String(), strings.ReplaceAll(goodPHC, "1", "99999999999")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parsePHC(text)
		if err != nil {
			return
		}
		if got := h.String(); got != text {
			t.Errorf("read %q, wrote %q", text, got)
		}
		if err := h.check(); err != nil {
			t.Errorf("accepted %q: %v", text, err)
		}
	})
}
