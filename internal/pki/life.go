package pki

import (
	"crypto/x509"
	"strconv"
	"strings"
	"time"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
	// maxLife keeps dates within what every reader of certificates understands.
	maxLife = 100 * year
)

// ParseLife reads how long a certificate is to last: a number of days or of
// years of 365 days, "90d", "1y", or a duration as Go writes it, "12h30m".
// Invalid unless it is positive and at most 100 years.
func ParseLife(text string) (time.Duration, error) {
	var life time.Duration
	var ok bool
	switch number, unit := cutUnit(text); unit {
	case "d":
		life, ok = times(number, day)
	case "y":
		life, ok = times(number, year)
	default:
		parsed, err := time.ParseDuration(text)
		life, ok = parsed, err == nil
	}
	if !ok {
		return 0, invalid("", "life %q: want days, years or a duration: 90d, 1y, 12h", text)
	}
	return life, checkLife(life)
}

// LifeOf is how long a certificate that was issued here was meant to last.
func LifeOf(cert *x509.Certificate) time.Duration {
	return cert.NotAfter.Sub(cert.NotBefore) - backdate
}

func checkLife(life time.Duration) error {
	if life <= 0 || life > maxLife {
		return invalid("", "a life of %s: want more than nothing and at most 100 years", FormatLife(life))
	}
	return nil
}

func cutUnit(text string) (number, unit string) {
	if text == "" {
		return "", ""
	}
	return text[:len(text)-1], text[len(text)-1:]
}

// times is a whole number of units, none of them beyond all measure.
func times(number string, unit time.Duration) (time.Duration, bool) {
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n > uint64(2*maxLife/unit) {
		return 0, false
	}
	return time.Duration(n) * unit, true
}

// FormatLife writes a duration as ParseLife reads it, in the largest unit that
// divides it.
func FormatLife(life time.Duration) string {
	switch {
	case life >= year && life%year == 0:
		return strconv.FormatInt(int64(life/year), 10) + "y"
	case life >= day && life%day == 0:
		return strconv.FormatInt(int64(life/day), 10) + "d"
	default:
		text := life.String() // 12h30m0s, 12h0m0s
		for _, zero := range []string{"m0s", "h0m"} {
			if strings.HasSuffix(text, zero) {
				text = text[:len(text)-2]
			}
		}
		return text
	}
}
