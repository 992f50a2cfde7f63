package basic

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

// longestPassword in bytes. A longer one protects no better.
const longestPassword = 1024

// notoriousWords are what everybody tries first, of those that are long enough
// to pass otherwise. Compared in lower case.
var notoriousWords = []string{
	"0123456789", "0987654321", "1234567890", "12345678910", "123456789a", "1q2w3e4r5t", "1q2w3e4r5t6y", "abcdefghij",
	"adminadmin", "administrator", "changeme123", "changemenow", "iloveyou123", "letmein123", "p@ssw0rd123",
	"password01", "password12", "password123", "password1234", "passwordpassword", "qwerty1234", "qwerty12345",
	"qwertyuiop", "rootrootroot", "secret1234", "setpoint123", "setpointsetpoint", "welcome123",
}

// Hash returns the argon2id hash of a new password, once it has its turn.
func (a *Authenticator) Hash(ctx context.Context, password config.Secret) (string, error) {
	if err := a.CheckPassword("", password); err != nil {
		return "", err
	}
	release, err := a.turn(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	return newHash(a.params, []byte(password.Reveal())).String(), nil
}

// CheckPassword is Invalid, and says why, if the user may not take the
// password. Without a user's name it judges the password alone.
func (a *Authenticator) CheckPassword(user string, password config.Secret) error {
	text := password.Reveal()
	switch n := utf8.RuneCountInString(text); {
	case n < a.minimumLength:
		return weak("the password has %d characters; use at least %d, for instance four random words", n, a.minimumLength)
	case len(text) > longestPassword:
		return weak("the password has %d bytes; use at most %d", len(text), longestPassword)
	case user != "" && strings.EqualFold(text, user):
		return weak("the password is the user's name; use something that others do not know")
	case slices.Contains(notoriousWords, strings.ToLower(text)), monotonous(text):
		return weak("the password is among the first that anybody would try; use for instance four random words")
	}
	return nil
}

func weak(format string, args ...any) error {
	return config.Errorf(config.Invalid, "set password", "", format, args...)
}

// monotonous reports whether the text is one character again and again.
func monotonous(text string) bool {
	first, _ := utf8.DecodeRuneInString(text)
	return strings.Trim(text, string(first)) == ""
}

var (
	_ auth.PasswordHasher = (*Authenticator)(nil)
	_ auth.PasswordPolicy = (*Authenticator)(nil)
)
