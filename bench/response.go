package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

const (
	firstBuffer = 4 << 10
	largestHead = 64 << 10 // of one answer's status line and header
	largestLine = 1 << 10  // of a chunk's size line or trailer
)

// response is what the load generator needs to know of an answer's head.
type response struct {
	status  int
	length  int64 // of the body; -1 where it is chunked
	chunked bool
	last    bool // the server will close the connection
}

// hasBody reports whether bytes of a body follow the head of an answer to a
// request that was not HEAD.
func (r response) hasBody() bool {
	return r.status >= 200 && r.status != 204 && r.status != 304
}

// reader reads HTTP/1.1 answers off a connection: as little of HTTP as tells
// where an answer ends, since it shares the machine with the server it measures.
type reader struct {
	src        io.Reader
	buf        []byte
	start, end int // what of buf is not yet used
}

func newReader(src io.Reader) *reader {
	return &reader{src: src, buf: make([]byte, firstBuffer)}
}

// fill reads more. What is unused stays; the buffer grows up to most bytes.
func (r *reader) fill(most int) error {
	switch {
	case r.start == r.end:
		r.start, r.end = 0, 0
	case r.end == len(r.buf) && r.start > 0:
		r.end = copy(r.buf, r.buf[r.start:r.end])
		r.start = 0
	case r.end == len(r.buf) && len(r.buf) < most:
		r.buf = append(r.buf, make([]byte, len(r.buf))...)
	case r.end == len(r.buf):
		return fmt.Errorf("the answer has a head or line of more than %d bytes", most)
	}
	n, err := r.src.Read(r.buf[r.end:])
	r.end += n
	if n > 0 {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// until returns what comes before the separator, and goes past it.
func (r *reader) until(separator string, most int) ([]byte, error) {
	searched := 0
	for {
		unused := r.buf[r.start:r.end]
		if i := bytes.Index(unused[searched:], []byte(separator)); i >= 0 {
			end := searched + i
			r.start += end + len(separator)
			return unused[:end], nil
		}
		if len(unused) > most {
			return nil, fmt.Errorf("the answer has a head or line of more than %d bytes", most)
		}
		searched = max(0, len(unused)-len(separator)+1)
		if err := r.fill(most); err != nil {
			return nil, err
		}
	}
}

// head reads an answer's head, going over interim answers.
func (r *reader) head() (response, error) {
	const mostInterim = 8
	for range mostInterim {
		text, err := r.until("\r\n\r\n", largestHead)
		if err != nil {
			return response{}, err
		}
		head, err := parseHead(text)
		if err != nil || head.status >= 200 {
			return head, err
		}
	}
	return response{}, errors.New("the server sends interim answers without end")
}

func parseHead(text []byte) (response, error) {
	line, rest, _ := bytes.Cut(text, []byte("\r\n"))
	const prefix = "HTTP/1.1 "
	if len(line) < len(prefix)+3 || string(line[:len(prefix)]) != prefix {
		return response{}, fmt.Errorf("not an HTTP/1.1 answer: %.40q", line)
	}
	status, ok := decimal(line[len(prefix) : len(prefix)+3])
	if !ok || status < 100 || len(line) > len(prefix)+3 && line[len(prefix)+3] != ' ' {
		return response{}, fmt.Errorf("not an HTTP status: %.40q", line)
	}
	head := response{status: int(status), length: -1}
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		if err := head.field(line); err != nil {
			return response{}, err
		}
	}
	if head.hasBody() && !head.chunked && head.length < 0 {
		return response{}, errors.New("the answer says neither its length nor that it is chunked")
	}
	return head, nil
}

// field takes in the header fields that decide where the answer ends.
func (r *response) field(line []byte) error {
	name, value, found := bytes.Cut(line, []byte(":"))
	if !found {
		return fmt.Errorf("not a header field: %.40q", line)
	}
	value = bytes.TrimSpace(value)
	switch len(name) { // most fields are told apart by their length alone
	case len("Content-Length"):
		if bytes.EqualFold(name, []byte("Content-Length")) {
			n, ok := decimal(value)
			if !ok {
				return fmt.Errorf("not a Content-Length: %.40q", value)
			}
			r.length = n
		}
	case len("Transfer-Encoding"):
		if bytes.EqualFold(name, []byte("Transfer-Encoding")) {
			if !bytes.EqualFold(value, []byte("chunked")) {
				return fmt.Errorf("unknown Transfer-Encoding: %.40q", value)
			}
			r.chunked, r.length = true, -1
		}
	case len("Connection"):
		r.last = r.last || bytes.EqualFold(name, []byte("Connection")) && bytes.EqualFold(value, []byte("close"))
	}
	return nil
}

// body hands the answer's body to sink, piece by piece as it comes. A piece is
// only good until sink returns.
func (r *reader) body(head response, sink func([]byte) error) error {
	switch {
	case !head.hasBody():
		return nil
	case !head.chunked:
		return r.pass(head.length, sink)
	}
	for {
		line, err := r.until("\r\n", largestLine)
		if err != nil {
			return err
		}
		size, ok := chunkSize(line)
		if !ok {
			return fmt.Errorf("not a chunk's size: %.40q", line)
		}
		if size == 0 {
			return r.trailer()
		}
		if err := r.pass(size, sink); err != nil {
			return err
		}
		if line, err = r.until("\r\n", largestLine); err != nil {
			return err
		}
		if len(line) != 0 {
			return fmt.Errorf("a chunk is longer than it says: %.40q", line)
		}
	}
}

// pass hands the next n bytes to sink.
func (r *reader) pass(n int64, sink func([]byte) error) error {
	for n > 0 {
		if r.start == r.end {
			if err := r.fill(len(r.buf)); err != nil {
				return err
			}
		}
		piece := r.buf[r.start:r.end]
		if int64(len(piece)) > n {
			piece = piece[:n]
		}
		r.start += len(piece)
		n -= int64(len(piece))
		if err := sink(piece); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) trailer() error {
	const mostFields = 100
	for range mostFields {
		line, err := r.until("\r\n", largestLine)
		if err != nil || len(line) == 0 {
			return err
		}
	}
	return fmt.Errorf("the answer has a trailer of more than %d fields", mostFields)
}

func chunkSize(line []byte) (int64, bool) {
	line, _, _ = bytes.Cut(line, []byte(";"))
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] == '+' || line[0] == '-' {
		return 0, false
	}
	n, err := strconv.ParseInt(string(line), 16, 64)
	return n, err == nil
}

// decimal reads digits alone, without sign.
func decimal(text []byte) (int64, bool) {
	const mostDigits = 18 // that fit in an int64
	if len(text) == 0 || len(text) > mostDigits {
		return 0, false
	}
	var n int64
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}
