package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/setpointhq/setpoint/config"
)

const (
	maxAnswer  = 256 << 20 // bytes of one answer held in memory
	maxProblem = 1 << 20   // bytes of an error answer
	pageSize   = "500"
	attempts   = 3 // of a read, at each endpoint

	backoffBase = 100 * time.Millisecond
	backoffMost = 15 * time.Second
	longestWait = 5 * time.Second // that a server may ask of a read before it is given up
)

// request is one call of the interface.
type request struct {
	method string
	path   string // below the endpoint, escaped
	query  url.Values
	header http.Header
	in     any // sent as JSON
	// body is sent as it is, with its type in header; never together with in.
	body io.Reader
	// anonymous requests go without credentials.
	anonymous bool
}

// answer is what is left of a response when its body has been read.
type answer struct {
	header      http.Header
	notModified bool
}

// call sends a request and decodes the answer into out, if that is not nil.
func (c *Client) call(ctx context.Context, r request, out any) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	resp, err := c.send(ctx, r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{header: resp.Header, notModified: resp.StatusCode == http.StatusNotModified}
	body, err := readAll(resp.Body, maxAnswer)
	if err != nil {
		return answer{}, unreached(resp.Request.URL, err)
	}
	if out == nil || a.notModified {
		return a, nil
	}
	if err := decodeAnswer(r, body, out); err != nil {
		return answer{}, err
	}
	return a, nil
}

func decodeAnswer(r request, body []byte, out any) error {
	if err := json.Unmarshal(body, out); err != nil {
		return config.Errorf(config.Internal, "read answer", r.path, "this is not a Setpoint server of a version that this client knows: %w", err)
	}
	return nil
}

// send returns the response of a success or of "not modified"; every other
// outcome is an error. Reads are tried again, as are requests of any sort that
// never left this machine.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	payload, err := encode(r)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		at := c.current.Load()
		resp, err := c.attempt(ctx, r, c.endpoints[at], payload)
		if err == nil {
			return resp, nil
		}
		if elsewhere(err) {
			c.leave(at)
		}
		wait, again := c.again(r, err, try)
		if !again {
			return nil, err
		}
		if sleep(ctx, wait) != nil {
			return nil, err
		}
	}
}

func encode(r request) ([]byte, error) {
	if r.in == nil {
		return nil, nil
	}
	payload, err := json.Marshal(r.in)
	if err != nil {
		return nil, config.Errorf(config.Invalid, "encode request", r.path, "%w", err)
	}
	return payload, nil
}

func (c *Client) attempt(ctx context.Context, r request, endpoint *url.URL, payload []byte) (*http.Response, error) {
	body := r.body
	if r.in != nil {
		body = bytes.NewReader(payload)
	}
	target := endpoint.String() + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, body)
	if err != nil {
		return nil, config.Errorf(config.Invalid, "", r.path, "%w", err)
	}
	maps.Copy(req.Header, c.header)
	if r.in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	maps.Copy(req.Header, r.header)
	if c.auth != "" && !r.anonymous {
		req.Header.Set("Authorization", c.auth)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unreached(endpoint, err)
	}
	if resp.StatusCode/100 == 2 || resp.StatusCode == http.StatusNotModified {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, refusal(resp)
}

// leave has later calls go to the endpoint behind the one with the index, unless
// they do already.
func (c *Client) leave(at int64) {
	c.current.CompareAndSwap(at, (at+1)%int64(len(c.endpoints)))
}

// elsewhere reports whether another endpoint may fare better.
func elsewhere(err error) bool {
	kind := config.KindOf(err)
	return kind == config.Unavailable || kind == config.Timeout
}

// again says whether and when to try a failed request again.
func (c *Client) again(r request, err error, try int) (time.Duration, bool) {
	if try >= attempts*len(c.endpoints) || r.body != nil {
		return 0, false
	}
	var dial *net.OpError
	unsent := errors.As(err, &dial) && dial.Op == "dial"
	if r.method != http.MethodGet && !unsent {
		return 0, false
	}
	wait := backoff(try / len(c.endpoints))
	switch kind := config.KindOf(err); kind {
	case config.Unavailable, config.Throttled:
		var refused *Refusal
		if errors.As(err, &refused) {
			wait = max(wait, refused.RetryAfter)
		}
		return wait, wait <= longestWait
	default:
		return 0, false
	}
}

// backoff returns a wait that doubles with every try, with full jitter, so that
// clients cut off together do not come back together.
func backoff(try int) time.Duration {
	most := min(backoffBase<<min(max(try, 0), 20), backoffMost)
	return rand.N(most) + 1 //nolint:gosec // spreads load, keeps no secret
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// paged asks for large pages, of a listing that has pages.
func paged(query url.Values) url.Values {
	query.Set("limit", pageSize)
	return query
}

// list walks the pages of a listing. The sequence ends after an error.
func list[T any](ctx context.Context, c *Client, path string, query url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		query := maps.Clone(query)
		for {
			var page config.Page[T]
			if _, err := c.call(ctx, request{method: http.MethodGet, path: path, query: query}, &page); err != nil {
				yield(zero, err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			if page.Next == query.Get("after") {
				yield(zero, config.Errorf(config.Internal, "list", path, "the server's pages do not advance"))
				return
			}
			query.Set("after", page.Next)
		}
	}
}

func readAll(r io.Reader, most int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(body)) > most {
		err = config.Errorf(config.TooLarge, "", "", "an answer of more than %d bytes", most)
	}
	return body, err
}

// ifMatch makes a write conditional on a revision; "" makes it unconditional.
func ifMatch(expected config.Token) http.Header {
	if expected == "" {
		return nil
	}
	return http.Header{"If-Match": {strconv.Quote(string(expected))}}
}

// values makes a query of the pairs whose value is not empty.
func values(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	return v
}

func flag(on bool) string {
	if on {
		return "true"
	}
	return ""
}
