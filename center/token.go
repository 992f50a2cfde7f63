package center

import (
	"strconv"
	"strings"

	"github.com/setpointhq/setpoint/config"
)

// A token is a revision in base 36 and the installation's id. The id keeps a
// token of one installation from meaning something in another.

func encodeToken(revision int64, cluster string) config.Token {
	return config.Token(strconv.FormatInt(revision, 36) + "." + cluster)
}

func decodeToken(t config.Token) (revision int64, cluster string, err error) {
	digits, cluster, found := strings.Cut(string(t), ".")
	revision, err = strconv.ParseInt(digits, 36, 64)
	if err != nil || !found || revision < 0 || digits[0] == '+' || digits[0] == '-' {
		return 0, "", config.Errorf(config.Invalid, "", "", "the revision token is not one that this server gives out")
	}
	return revision, cluster, nil
}
