package graphql

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
	"github.com/setpointhq/setpoint/protocol/internal/strictjson"
)

// The media types of answers.
const (
	responseType = "application/graphql-response+json"
	jsonType     = "application/json"
)

// answerType is the media type of the answer that the client likes best. Who does not
// say gets the one of GraphQL.
func answerType(r *http.Request) string {
	accept := strings.ToLower(r.Header.Get("Accept"))
	if !strings.Contains(accept, responseType) && strings.Contains(accept, jsonType) {
		return jsonType
	}
	return responseType
}

// loginBody is the largest request of who has not proved who it is, and can do
// nothing but that.
const loginBody = 16 << 10

// readRequest reads what a client asks for.
func (a *api) readRequest(w http.ResponseWriter, r *http.Request) (*request, error) {
	switch r.Method {
	case http.MethodGet:
		return readQuery(r)
	case http.MethodPost:
		return a.readBody(w, r)
	}
	return nil, &statusError{
		err:    config.Errorf(config.Invalid, "", "", "%s is not possible here; GET and POST are", problem.Clip(r.Method)),
		status: http.StatusMethodNotAllowed, allow: "GET, POST",
	}
}

// readQuery reads what is asked for by GET.
func readQuery(r *http.Request) (*request, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, problem.Malformed("query", "the query of the address is malformed")
	}
	asked := &request{Query: q.Get("query"), OperationName: q.Get("operationName")}
	if err := decode("query.variables", []byte(q.Get("variables")), &asked.Variables); err != nil {
		return nil, err
	}
	return asked, decode("query.extensions", []byte(q.Get("extensions")), &asked.Extensions)
}

// readBody reads what is asked for by POST.
func (a *api) readBody(w http.ResponseWriter, r *http.Request) (*request, error) {
	// What pages of other web sites can have a browser send without asking first is
	// anything but JSON.
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != jsonType {
		return nil, &statusError{
			err: config.Errorf(config.Invalid, "", "", "the body must be application/json"), status: http.StatusUnsupportedMediaType,
		}
	}
	limit := a.maxBody
	if auth.FromContext(r.Context()).Anonymous() {
		limit = min(limit, loginBody)
	}
	if r.ContentLength > limit {
		return nil, errTooLarge(limit)
	}
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(a.settings.BodyTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, config.Errorf(config.Canceled, "", "", "the connection is gone")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		return nil, bodyError(err, limit)
	}
	_ = control.SetReadDeadline(time.Time{}) // a connection that is gone needs no deadline
	return parseRequest(body)
}

// parseRequest reads a request in JSON.
func parseRequest(body []byte) (*request, error) {
	if text := bytes.TrimLeft(body, " \t\r\n"); len(text) > 0 && text[0] == '[' {
		return nil, problem.Malformed("body", "want one operation; several at once (a batch) are not possible here")
	}
	var asked request
	if len(body) == 0 {
		return nil, problem.Malformed("body", "there is none")
	}
	return &asked, decode("body", body, &asked)
}

// decode reads JSON, with numbers as they are written; nothing at all is nothing.
func decode(where string, data []byte, into any) error {
	if len(data) == 0 {
		return nil
	}
	if err := strictjson.CheckText(data); err != nil {
		return problem.Malformed(where, err.Error())
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return problem.Malformed(where, problem.ClipTo("this is not what it must be: "+err.Error(), strictjson.LongestText))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) { // More would overlook a bracket
		return problem.Malformed(where, "there is something behind it")
	}
	return strictjson.CheckKeys(where, data, nil)
}

func errTooLarge(limit int64) error {
	return config.Errorf(config.TooLarge, "", "", "the request's body is larger than the %d bytes that may be sent here", limit)
}

// bodyError is the error of a body that did not arrive.
func bodyError(err error, limit int64) error {
	var tooLarge *http.MaxBytesError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &tooLarge):
		return errTooLarge(limit)
	case errors.As(err, &timeout) && timeout.Timeout():
		return config.Errorf(config.Timeout, "", "", "the request's body did not arrive in time")
	}
	return config.Errorf(config.Canceled, "", "", "the request's body did not arrive")
}
