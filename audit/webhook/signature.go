package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// SignatureHeader bears "t=1795485723,v1=5257a8…": the time of sending in Unix
// seconds, and the HMAC-SHA256 of "1795485723." and the body, in hexadecimal.
const SignatureHeader = "Setpoint-Signature"

// IdempotencyHeader bears the ids of the first and the last record of a batch.
// The same batch sent again has the same; a record may come in another batch
// too, so its own id tells repeats for certain.
const IdempotencyHeader = "Idempotency-Key"

// Sign returns the value of the SignatureHeader.
func Sign(secret config.Secret, at time.Time, body []byte) string {
	seconds := strconv.FormatInt(at.Unix(), 10)
	return "t=" + seconds + ",v1=" + hex.EncodeToString(sum(secret, seconds, body))
}

func sum(secret config.Secret, seconds string, body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(secret.Reveal()))
	mac.Write([]byte(seconds + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

// Verify is for receivers: it returns an error unless the header is the
// signature of the body by this secret, made at most tolerance away from now.
// Several v1 may stand there; one right one will do.
func Verify(secret config.Secret, header string, body []byte, now time.Time, tolerance time.Duration) error {
	var seconds string
	var signatures []string
	for part := range strings.SplitSeq(header, ",") {
		switch name, value, _ := strings.Cut(strings.TrimSpace(part), "="); name {
		case "t":
			seconds = value
		case "v1":
			signatures = append(signatures, value)
		}
	}
	at, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return errors.New("the signature has no time")
	}
	right := false
	for _, text := range signatures {
		signature, err := hex.DecodeString(text)
		right = right || err == nil && hmac.Equal(signature, sum(secret, seconds, body))
	}
	if !right {
		return errors.New("the signature is wrong")
	}
	if away := now.Sub(time.Unix(at, 0)).Abs(); away > tolerance {
		return errors.New("the signature is too old, or of the future")
	}
	return nil
}
