package client

import (
	"bufio"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// message is one server-sent event.
type message struct {
	event string // "message" if the server gave none
	data  string
}

// sseReader reads server-sent events as the WHATWG HTML standard defines the
// stream (section "Server-sent events"), with a bound on the size of one event.
type sseReader struct {
	r      *bufio.Reader
	most   int // bytes of one event
	skipLF bool
	begun  bool

	lastID string        // of the stream so far
	hasID  bool          // the last event said its own
	retry  time.Duration // the server's wish for a reconnect; 0 if it has none
}

func newSSEReader(r io.Reader, most int) *sseReader {
	return &sseReader{r: bufio.NewReader(r), most: most}
}

// next returns the next event that has data. An event cut off by the end of the
// stream is dropped; the error is then io.EOF.
func (s *sseReader) next() (message, error) {
	var (
		event, id      string
		data           strings.Builder
		hasData, hasID bool
		size           int
	)
	id = s.lastID
	for {
		line, err := s.line(s.most - size)
		if err != nil {
			return message{}, err
		}
		size += len(line)
		if line == "" {
			s.lastID = id
			if hasData {
				s.hasID = hasID
				return message{event: orDefault(event, "message"), data: data.String()}, nil
			}
			event, size, hasID = "", 0, false
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			event = value
		case "data":
			if hasData {
				data.WriteByte('\n')
			}
			hasData = true
			data.WriteString(value)
		case "id":
			if !strings.ContainsRune(value, 0) {
				id, hasID = value, true
			}
		case "retry":
			s.setRetry(value)
		}
	}
}

func (s *sseReader) setRetry(value string) {
	if ms, err := strconv.ParseUint(value, 10, 31); err == nil && value[0] != '+' {
		s.retry = time.Duration(ms) * time.Millisecond
	}
}

// line reads up to the next LF, CR or CRLF. It never waits for the LF after a
// CR: that one is skipped when it comes.
func (s *sseReader) line(most int) (string, error) {
	var b []byte
	for {
		c, err := s.r.ReadByte()
		if err != nil {
			return "", err
		}
		if skip := s.skipLF; skip {
			s.skipLF = false
			if c == '\n' {
				continue
			}
		}
		if c == '\n' || c == '\r' {
			s.skipLF = c == '\r'
			break
		}
		if len(b) >= most {
			return "", config.Errorf(config.TooLarge, "watch", "", "the server sent an event of more than %d bytes", s.most)
		}
		b = append(b, c)
	}
	line := string(b)
	if !s.begun {
		s.begun = true
		line = strings.TrimPrefix(line, "\uFEFF")
	}
	return line, nil
}
