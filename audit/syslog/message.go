package syslog

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/setpointhq/setpoint/audit"
)

// The severities used: what was denied or failed is worth a look.
const (
	warning       = 4
	informational = 6
)

// format is what all messages of a sink have in common.
type format struct {
	facility              int
	host, appName, dataID string
}

const mostHost = 255

func (s *Settings) format(node string) format {
	return format{facility: facilityCodes[s.Facility], host: header(node, mostHost), appName: s.AppName, dataID: s.DataID}
}

// appendFrame appends the record's message with its length in front of it, so
// that no text in it can end it.
func (f format) appendFrame(dst []byte, r audit.Encoded) []byte {
	message := f.message(r)
	dst = strconv.AppendInt(dst, int64(len(message)+len(r.JSON)), 10)
	dst = append(dst, ' ')
	dst = append(dst, message...)
	return append(dst, r.JSON...)
}

// The most of a header's action, and of a value of the structured data in
// characters; the JSON text has all of it.
const (
	mostMessageID = 32
	mostValue     = 256
)

// message is all of an RFC 5424 message but its text. The process id is left
// out: it is not known which node acted.
func (f format) message(r audit.Encoded) string {
	severity := warning
	if r.Outcome == audit.Done {
		severity = informational
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<%d>1 %s %s %s - %s [%s", f.facility*8+severity, r.Time.UTC().Format("2006-01-02T15:04:05.000000Z"),
		f.host, f.appName, header(r.Action, mostMessageID), f.dataID)
	for _, p := range []struct{ name, value string }{
		{"id", r.ID},
		{"action", r.Action},
		{"outcome", string(r.Outcome)},
		{"actor", r.Actor.Subject},
		{"method", r.Actor.Method},
		{"address", r.Actor.Address},
		{"request", r.Actor.RequestID},
		{"tenant", r.Path.Tenant},
		{"path", r.Path.String()},
		{"subject", r.Subject},
	} {
		if p.value != "" {
			fmt.Fprintf(&b, ` %s="%s"`, p.name, value(p.value))
		}
	}
	b.WriteString("] ")
	return b.String()
}

// header makes a text fit for a header: printable ASCII, without spaces.
func header(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '_'
		}
		return r
	}, text)
	if text == "" {
		return "-"
	}
	return text[:min(len(text), most)]
}

// value escapes a value of structured data. Characters that would be obeyed
// rather than shown are replaced.
func value(text string) string {
	var b strings.Builder
	count := 0
	for _, r := range text {
		if count++; count > mostValue {
			b.WriteString("…")
			break
		}
		switch {
		case r == '"' || r == '\\' || r == ']':
			b.WriteByte('\\')
			b.WriteRune(r)
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp):
			b.WriteRune(utf8.RuneError)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// farPast is a deadline that ends every call at once.
func farPast() time.Time { return time.Unix(1, 0) }
