package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// What nodes say to each other is JSON with bounds. Fields that a node does not
// know are passed over, because nodes of two versions speak to each other while
// a cluster is upgraded; what it knows is checked.

// The largest bodies.
const (
	maxBody    = 1 << 20
	maxClients = 64 << 20
	maxMembers = 1000
)

// DataFormat is the generation of what nodes write and say. A node refuses to
// work with data or nodes of a newer one than it knows.
const DataFormat = 1

// member is one server of the engine, as the majority knows it.
type member struct {
	Name    string `json:"name,omitempty"` // empty until it has started
	ID      string `json:"id"`             // in hexadecimal
	Peer    string `json:"peer"`
	Learner bool   `json:"learner,omitempty"`
	Started bool   `json:"started,omitempty"`
}

// identity is who a node is, and the answer to GET /node/identity.
type identity struct {
	Name string `json:"name"`
	// Boot differs from run to run.
	Boot    string    `json:"boot"`
	Time    time.Time `json:"time"`
	Version string    `json:"version"`
	Format  int       `json:"format"`
	// Token is the digest of the token that keeps clusters apart.
	Token string `json:"token"`
	// Cluster is the engine's number of the cluster, in hexadecimal; empty on a
	// node whose engine has not run yet.
	Cluster string `json:"cluster,omitempty"`
	// Formed says that the engine runs and a majority confirmed the Members.
	Formed  bool     `json:"formed,omitempty"`
	Members []member `json:"members,omitempty"`
}

// report is what a node tells about itself: the answer to GET /node/status, and
// what it says with each hello.
type report struct {
	Boot     string      `json:"boot"`
	Time     time.Time   `json:"time"`
	Node     config.Node `json:"node"`
	Revision int64       `json:"revision"`
	// Engine is nil if its engine does not run, or runs elsewhere.
	Engine *engineReport `json:"engine,omitempty"`
	// Admits says that it can let nodes in: it has the authority's key.
	Admits bool `json:"admits,omitempty"`
}

// engineReport is what the engine of a member says, with members by their IDs.
type engineReport struct {
	Cluster string   `json:"cluster"`
	Leader  string   `json:"leader,omitempty"`
	Term    uint64   `json:"term"`
	Applied uint64   `json:"applied"`
	NoSpace []string `json:"no_space,omitempty"`
	Corrupt []string `json:"corrupt,omitempty"`
}

// hello is what nodes tell each other now and then, POST /node/hello.
type hello struct {
	Report report `json:"report"`
	// Wait says that the sender cannot be called: the answer may be held back
	// until there is something to ask it.
	Wait bool `json:"wait,omitempty"`
	// Leaving says that the sender stops: it is forgotten at once.
	Leaving bool `json:"leaving,omitempty"`
}

type helloAnswer struct {
	Members []member `json:"members,omitempty"`
	// Edges are those that the answering node knows, for a sender that Waits.
	Edges []heard `json:"edges,omitempty"`
	// Questions are to be answered with POST /node/answers/{id}.
	Questions []question `json:"questions,omitempty"`
}

// question asks a node for its clients; with an ID, one that cannot be called.
type question struct {
	ID   string `json:"id"`
	Path string `json:"path"`
	// Of is what to tell of them, ofReceipts or else ofInstances, which nodes of a
	// version before there were receipts take it for.
	Of string `json:"of,omitempty"`
	// Of instances: where to go on from, and about how many are wanted; 0 is all.
	After string `json:"after,omitempty"`
	Limit int    `json:"limit,omitempty"`
	// Version is, of receipts, the one that the clients are served.
	Version int64 `json:"version,omitempty"`
}

// clients is the answer to a question, and to GET /node/instances and
// /node/receipts.
type clients struct {
	Instances []config.Instance `json:"instances,omitempty"`
	Receipts  []config.Receipt  `json:"receipts,omitempty"`
	// Now is the answering node's clock, in milliseconds since 1970, that the times
	// of receipts are by. 0 is a node that knows no receipts.
	Now int64 `json:"now,omitempty"`
	// Silent are the nodes that were asked and did not answer.
	Silent []string `json:"silent,omitempty"`
}

// authority is the answer to GET /node/authority.
type authority struct {
	CA string `json:"ca"` // PEM
}

// joinRequest asks to be let in, POST /node/join.
type joinRequest struct {
	Name string `json:"name"`
	Peer string `json:"peer,omitempty"` // none for an edge
	Edge bool   `json:"edge,omitempty"`
	// Data says that it has the engine's data already: it was let in before.
	Data    bool   `json:"data,omitempty"`
	Version string `json:"version"`
	Format  int    `json:"format"`
	// Token is the join token and Request a certificate request, PEM; a node with
	// a certificate needs neither.
	Token   string `json:"token,omitempty"`
	Request string `json:"request,omitempty"`
	// ClusterToken is the digest of the token that keeps clusters apart, if the
	// node has chosen one.
	ClusterToken string `json:"cluster_token,omitempty"`
}

type joinAnswer struct {
	CA           string   `json:"ca,omitempty"`          // PEM
	Certificate  string   `json:"certificate,omitempty"` // PEM
	ClusterToken string   `json:"cluster_token"`
	Members      []member `json:"members"`
}

// renewal asks for the next certificate of a node, POST /node/renew, and is
// the answer as well.
type renewal struct {
	Request     string `json:"request,omitempty"`
	CA          string `json:"ca,omitempty"`
	Certificate string `json:"certificate,omitempty"`
}

// leaderRequest hands the leadership over, POST /node/leader.
type leaderRequest struct {
	To string `json:"to,omitempty"`
	// Final says that the sender took this node for the leader's: it passes the
	// request on no further.
	Final bool `json:"final,omitempty"`
}

// nothing is a body without content.
type nothing struct{}

// checked is what a decoded body must be: it says what in it cannot be.
type checked interface{ check() error }

func (m member) check() error {
	if m.Name != "" && !isName(m.Name) {
		return fmt.Errorf("member %q: %s", clip(m.Name), nameRule)
	}
	if _, err := strconv.ParseUint(m.ID, 16, 64); err != nil {
		return fmt.Errorf("member number %q", clip(m.ID))
	}
	return checkHostPort(m.Peer, false)
}

func checkMembers(members []member) error {
	if len(members) > maxMembers {
		return fmt.Errorf("%d members", len(members))
	}
	for _, m := range members {
		if err := m.check(); err != nil {
			return err
		}
	}
	return nil
}

func (i *identity) check() error {
	if !isName(i.Name) {
		return fmt.Errorf("node %q: %s", clip(i.Name), nameRule)
	}
	return checkMembers(i.Members)
}

func (r *report) check() error {
	n := &r.Node
	switch {
	case !isName(n.Name):
		return fmt.Errorf("node %q: %s", clip(n.Name), nameRule)
	case n.Role != config.Voter && n.Role != config.Learner && n.Role != config.Edge:
		return fmt.Errorf("role %q", clip(string(n.Role)))
	case r.Boot == "" || len(r.Boot) > 64:
		return errors.New("no boot")
	case len(n.Problems) > 100:
		return errors.New("too many problems")
	case n.Peer != "":
		return checkHostPort(n.Peer, false)
	}
	return nil
}

func (h *hello) check() error { return h.Report.check() }

func (a *helloAnswer) check() error {
	for i := range a.Edges {
		if err := a.Edges[i].Report.check(); err != nil {
			return err
		}
	}
	return checkMembers(a.Members)
}

func (c *clients) check() error {
	for at := range c.Instances {
		if i := &c.Instances[at]; len(i.Watches) > 10_000 || len(i.Holds) > 10_000 {
			return errors.New("too many watches or holdings")
		}
	}
	return nil
}

func (a *authority) check() error { return nil }

func (j *joinRequest) check() error {
	switch {
	case !isName(j.Name):
		return fmt.Errorf("name %q: %s", clip(j.Name), nameRule)
	case j.Edge != (j.Peer == ""):
		return errors.New("a member has an address and an edge has none")
	case !j.Edge:
		return checkHostPort(j.Peer, false)
	}
	return nil
}

func (j *joinAnswer) check() error {
	if len(j.Members) == 0 {
		return errors.New("no members")
	}
	return checkMembers(j.Members)
}

func (r *renewal) check() error { return nil }

func (l *leaderRequest) check() error {
	if l.To != "" && !isName(l.To) {
		return fmt.Errorf("name %q: %s", clip(l.To), nameRule)
	}
	return nil
}

func (*nothing) check() error { return nil }

// decode reads one JSON value and nothing behind it. Errors are Invalid and TooLarge.
func decode(r io.Reader, most int64, into checked) error {
	body, err := io.ReadAll(io.LimitReader(r, most+1))
	switch {
	case err != nil:
		return config.Errorf(config.Invalid, "", "", "the body ended early: %w", err)
	case int64(len(body)) > most:
		return config.Errorf(config.TooLarge, "", "", "the body has more than %d bytes", most)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return config.Errorf(config.Invalid, "", "", "the body is not what is expected here: %w", err)
	}
	if err := into.check(); err != nil {
		return config.Errorf(config.Invalid, "", "", "the body holds what cannot be: %w", err)
	}
	return nil
}

// problem is how an error goes over the wire.
type problem struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
	// Retry says that the same request may succeed in a moment.
	Retry bool `json:"retry,omitempty"`
}

func (*problem) check() error { return nil }

// errRetry marks errors that pass.
var errRetry = errors.New("try again")

// passing is an error that goes away if one waits.
type passing struct{ error }

// Is makes it errRetry.
func (passing) Is(target error) bool { return target == errRetry }

// Unwrap returns the error itself.
func (p passing) Unwrap() error { return p.error }

// statusOf is the HTTP status that an error is sent with; the kind in the body
// is what counts.
func statusOf(kind config.ErrorKind) int {
	switch kind {
	case config.Invalid:
		return http.StatusBadRequest
	case config.Unauthenticated:
		return http.StatusUnauthorized
	case config.Denied:
		return http.StatusForbidden
	case config.NotFound:
		return http.StatusNotFound
	case config.Exists, config.Conflict:
		return http.StatusConflict
	case config.TooLarge:
		return http.StatusRequestEntityTooLarge
	case config.Throttled:
		return http.StatusTooManyRequests
	case config.Unsupported:
		return http.StatusNotImplemented
	case config.Internal:
		return http.StatusInternalServerError
	default:
		return http.StatusServiceUnavailable
	}
}

// writeError answers with an error.
func writeError(w http.ResponseWriter, err error) {
	e := config.AsError(err)
	text := e.Detail()
	if e.Kind == config.Internal {
		text = "an internal error; the log of the node that was asked has the cause"
	}
	writeJSON(w, statusOf(e.Kind), &problem{Kind: e.Kind.String(), Text: text, Retry: errors.Is(err, errRetry)})
}

// writeJSON answers with a value.
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // a defect: every type here can be written
		status, body = http.StatusInternalServerError, []byte(`{"kind":"internal","text":"the answer cannot be written"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller may be gone; there is nobody to tell
}

// hex writes an engine's number.
func hex(id uint64) string { return strconv.FormatUint(id, 16) }
