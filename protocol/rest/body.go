package rest

import (
	"bytes"
	"io"
	"net/http"

	"github.com/setpointhq/setpoint/protocol/internal/strictjson"
)

// decodeBody reads a JSON body of a handler that huma does not serve, as
// strictly as huma does. known are the names of what it is read into.
func decodeBody(w http.ResponseWriter, r *http.Request, known *strictjson.Names, into any) error {
	data, err := readBody(w, r)
	if err != nil {
		return err
	}
	if len(data) == 0 {
		return malformed("body", "a body is required")
	}
	return strictjson.Decode("body", data, known, into)
}

// readBody reads all of a body that bounded has bounded.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	var buf bytes.Buffer
	if r.ContentLength > 0 { // which bounded has compared with the limit
		buf.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	if _, err := buf.ReadFrom(r.Body); err != nil {
		return nil, err
	}
	arrived(w)
	return buf.Bytes(), nil
}

// readable is a body whose errors say what went wrong, since what is wrong with
// it the client did: left to huma, a bad chunk would be an error of the server.
type readable struct{ io.ReadCloser }

// Read implements io.Reader.
func (b readable) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil || err == io.EOF {
		return n, err
	}
	if known := bodyError(err); known != nil {
		return n, known
	}
	return n, malformed("body", "the body cannot be read")
}
