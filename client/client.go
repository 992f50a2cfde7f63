package client

import (
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// Options say which server to speak to, and as whom.
type Options struct {
	// Endpoints are the servers' base URLs, "https://setpoint.example:7400".
	// The first is used until it cannot be reached, then the next. At least one
	// is needed. Plain http is refused for hosts other than this one, unless
	// TLS.Insecure is set.
	Endpoints []string
	// Token is an API or session token. It is used before Username and Password.
	Token config.Secret
	// Username and Password are sent with every request.
	Username string
	Password config.Secret
	// TLS says how the servers prove who they are.
	TLS TLS
	// Instance is how this program names itself; rollouts choose by it. Its
	// Address is not sent. An ID is needed by Open alone, which makes one up if
	// there is none.
	Instance config.Client
	// AppVersion is the version of this program, which is sent as the label
	// "version" unless Instance has one.
	AppVersion string
	// UserAgent names the program to the server's audit; "" for "setpoint-go".
	UserAgent string
	// Timeout bounds one call, its retries included; 0 for 30 seconds. A watch
	// or an export may take longer in all, but not fall silent for longer.
	Timeout time.Duration
	// Heartbeat is the longest silence on a watch before it reconnects; 0 for
	// 45 seconds. Servers send a heartbeat every 15.
	Heartbeat time.Duration
	// Log is told what a Set does by itself: that it lost its servers, started
	// from its cache, refused a version. It is told no content and no
	// credentials. If nil, nobody is told.
	Log *slog.Logger
}

// versionLabel is, by convention, the label that holds a program's version.
const versionLabel = "version"

const (
	defaultTimeout   = 30 * time.Second
	defaultHeartbeat = 45 * time.Second
)

// Client is a connection to an installation. Close it when done.
type Client struct {
	endpoints []*url.URL
	current   atomic.Int64 // index of the endpoint in use
	http      *http.Client
	header    http.Header // sent with every request
	auth      string      // the Authorization header
	timeout   time.Duration
	heartbeat time.Duration
	log       *slog.Logger

	naming sync.Mutex
	name   string // the instance's id that was made up; "" while none was needed
}

// New checks the options; it does not connect. Errors are of kind Invalid.
func New(o Options) (*Client, error) {
	endpoints, err := parseEndpoints(o)
	if err != nil {
		return nil, err
	}
	header, err := instanceHeader(o.instance())
	if err != nil {
		return nil, err
	}
	transport, err := newTransport(o.TLS, len(endpoints) > 1)
	if err != nil {
		return nil, err
	}
	header.Set("User-Agent", orDefault(o.UserAgent, "setpoint-go"))
	c := &Client{
		endpoints: endpoints,
		http:      &http.Client{Transport: transport, CheckRedirect: refuseRedirect},
		header:    header,
		timeout:   orDefault(o.Timeout, defaultTimeout),
		heartbeat: orDefault(o.Heartbeat, defaultHeartbeat),
	}
	if c.log = o.Log; c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.auth = authorization(o)
	return c, nil
}

// Close drops idle connections. Calls under way are not interrupted.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// refuseRedirect stops a redirect: credentials go to the named endpoints only.
func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func parseEndpoints(o Options) ([]*url.URL, error) {
	if len(o.Endpoints) == 0 {
		return nil, config.Errorf(config.Invalid, "", "", "no endpoint; give the server's URL, https://host:7400")
	}
	var urls []*url.URL
	for _, text := range o.Endpoints {
		u, err := ParseEndpoint(text)
		if err != nil {
			return nil, err
		}
		if u.Scheme == "http" && !o.TLS.Insecure && !loopback(u.Hostname()) {
			return nil, config.Errorf(config.Invalid, "", u.String(), "plain http would show passwords and tokens to the network; use https, or allow it by name (insecure)")
		}
		urls = append(urls, u)
	}
	return urls, nil
}

// ParseEndpoint reads a server's base URL. Without a scheme it is https.
func ParseEndpoint(text string) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, config.Errorf(config.Invalid, "", "", "endpoint: %w", err)
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, config.Errorf(config.Invalid, "", "", "endpoint %s: the scheme must be https or http", u.Redacted())
	case u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, config.Errorf(config.Invalid, "", "", "endpoint %s: want https://host:port, without user, query or fragment", u.Redacted())
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return u, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func authorization(o Options) string {
	switch {
	case !o.Token.Empty():
		return "Bearer " + o.Token.Reveal()
	case o.Username != "":
		r := http.Request{Header: http.Header{}}
		r.SetBasicAuth(o.Username, o.Password.Reveal())
		return r.Header.Get("Authorization")
	default:
		return ""
	}
}

// instance is who this program is, its version among the labels.
func (o Options) instance() config.Client {
	i := o.Instance
	if _, given := i.Labels[versionLabel]; given || o.AppVersion == "" {
		return i
	}
	i.Labels = maps.Clone(i.Labels)
	if i.Labels == nil {
		i.Labels = map[string]string{}
	}
	i.Labels[versionLabel] = o.AppVersion
	return i
}

// labelsText writes labels as servers read them.
func labelsText(labels map[string]string) (string, error) {
	pairs := make([]string, 0, len(labels))
	for k, v := range labels {
		if k == "" || strings.ContainsAny(k, "=,") || strings.Contains(v, ",") {
			return "", config.Errorf(config.Invalid, "", "", "label %q=%q: keys hold no '=' and neither part a ','", k, v)
		}
		pairs = append(pairs, k+"="+v)
	}
	slices.Sort(pairs)
	return strings.Join(pairs, ","), nil
}

func instanceHeader(i config.Client) (http.Header, error) {
	h := http.Header{}
	labels, err := labelsText(i.Labels)
	if err != nil {
		return nil, err
	}
	fields := []struct{ name, value string }{
		{"Setpoint-Instance", i.ID}, {"Setpoint-Labels", labels}, {"Setpoint-Slot", i.Slot},
	}
	for _, f := range fields {
		if strings.ContainsFunc(f.value, func(r rune) bool { return r < ' ' || r > '~' }) {
			return nil, config.Errorf(config.Invalid, "", "", "%s %q: use printable ASCII only", strings.ToLower(f.name), f.value)
		}
		if f.value != "" {
			h.Set(f.name, f.value)
		}
	}
	return h, nil
}

func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// String names the client by its endpoints, never by its credentials.
func (c *Client) String() string { return fmt.Sprintf("setpoint client of %v", c.endpoints) }
