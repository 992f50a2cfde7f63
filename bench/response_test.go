package bench

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// read reads one answer as the load generator does.
func read(src io.Reader) (response, string, error) {
	r := newReader(src)
	head, err := r.head()
	if err != nil {
		return head, "", err
	}
	var body bytes.Buffer
	err = r.body(head, func(piece []byte) error {
		body.Write(piece)
		return nil
	})
	return head, body.String(), err
}

func TestReadsAnswers(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 1<<12)
	for _, test := range []struct {
		name, text string
		want       response
		body       string
	}{
		{"length", "HTTP/1.1 200 OK\r\ncontent-LENGTH:  5 \r\nEtag: \"x\"\r\n\r\nhello", response{status: 200, length: 5}, "hello"},
		{"no body", "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", response{status: 201}, ""},
		{"not modified", "HTTP/1.1 304 Not Modified\r\nEtag: \"x\"\r\n\r\nHTTP/1.1", response{status: 304, length: -1}, ""},
		{"no reason", "HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx", response{status: 200, length: 1}, "x"},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n, world...\r\n0\r\n\r\n",
			response{status: 200, length: -1, chunked: true}, "hello, world..."},
		{"trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nDigest: y\r\n\r\n", response{status: 200, length: -1, chunked: true}, "x"},
		{"interim", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", response{status: 200, length: 1}, "x"},
		{"closing", "HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", response{status: 503, last: true}, ""},
		{"large", "HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n" + long, response{status: 200, length: 65536}, long},
	} {
		t.Run(test.name, func(t *testing.T) {
			for name, src := range map[string]io.Reader{
				"whole": strings.NewReader(test.text), "byte by byte": iotest.OneByteReader(strings.NewReader(test.text)),
			} {
				got, body, err := read(src)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(response{})); diff != "" {
					t.Errorf("%s: head (-want +got):\n%s", name, diff)
				}
				if body != test.body {
					t.Errorf("%s: want body %.60q, got %.60q", name, test.body, body)
				}
			}
		})
	}
}

func TestReadsAnswersOneAfterTheOther(t *testing.T) {
	one := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	r := newReader(strings.NewReader(strings.Repeat(one, 1000)))
	for i := range 1000 {
		head, err := r.head()
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		if err := r.body(head, func([]byte) error { return nil }); err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
	}
	if _, err := r.head(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("want unexpected EOF after the last answer, got %v", err)
	}
}

func TestRefusesWhatIsNoAnswer(t *testing.T) {
	for name, text := range map[string]string{
		"empty":            "",
		"other protocol":   "SSH-2.0-OpenSSH\r\n\r\n",
		"old":              "HTTP/1.0 200 OK\r\n\r\n",
		"status":           "HTTP/1.1 2x0 OK\r\n\r\n",
		"long status":      "HTTP/1.1 2000\r\n\r\n",
		"no length":        "HTTP/1.1 200 OK\r\n\r\n",
		"negative length":  "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"huge length":      "HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999\r\n\r\n",
		"field":            "HTTP/1.1 200 OK\r\nwhat\r\n\r\n",
		"coding":           "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
		"short":            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nx",
		"chunk":            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
		"chunk too long":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n",
		"endless head":     "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*largestHead),
		"endless trailer":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("a: b\r\n", 1000),
		"endless interims": strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 1000),
	} {
		t.Run(name, func(t *testing.T) {
			if head, body, err := read(strings.NewReader(text)); err == nil {
				t.Errorf("want an error, got %+v with body %.40q", head, body)
			}
		})
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		whole, body, err := read(bytes.NewReader(text))
		again, bodyAgain, errAgain := read(iotest.OneByteReader(bytes.NewReader(text)))
		if (err == nil) != (errAgain == nil) {
			t.Fatalf("whole: %v, byte by byte: %v", err, errAgain)
		}
		if err != nil {
			return
		}
		if whole != again || body != bodyAgain {
			t.Fatalf("whole: %+v %q, byte by byte: %+v %q", whole, body, again, bodyAgain)
		}
		if !whole.chunked && whole.hasBody() && int64(len(body)) != whole.length {
			t.Fatalf("want %d bytes of body, got %d", whole.length, len(body))
		}
	})
}
