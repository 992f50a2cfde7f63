// Package k8s proves the service accounts of a Kubernetes cluster: it has the
// cluster's API server review the token that a pod sends (TokenReview). The
// account app in the namespace shop is "k8s:shop/app" here, and gets what bindings
// give to that name and to the groups that the cluster says it is in.
//
// It starts no goroutine of its own: a review is made by the call that needs it.
package k8s

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/throttle"
	"github.com/setpointhq/setpoint/config"
)

// Name of the driver, in settings and in auth.Identity.Method.
const Name = "k8s"

const place = "auth." + Name

// Settings of the k8s driver.
type Settings struct {
	Name      string   `yaml:"name" doc:"what the cluster is called here: the service account app of the namespace shop is then NAME:shop/app in bindings"`
	Server    string   `yaml:"server" doc:"the https URL of the cluster's API server; without it, that of the cluster in which the node runs"`
	CAFile    string   `yaml:"ca_file" doc:"the PEM file of authorities to trust for the API server; the default is what every pod has"`
	TokenFile string   `yaml:"token_file" doc:"the token with which the node may have tokens reviewed (the role system:auth-delegator), read again for every review; the default is what every pod has"`
	Issuer    string   `yaml:"issuer" doc:"the iss claim of the cluster's tokens; tokens of other issuers are left to other drivers. Without it, all that name a service account are reviewed"`
	Audiences []string `yaml:"audiences" doc:"what tokens have to be meant for, one of; at least one is needed. A pod has such a token projected"`

	Timeout      time.Duration     `yaml:"timeout" doc:"the longest that a review may take"`
	Concurrent   int               `yaml:"concurrent" doc:"reviews at the same time; further ones wait for their turn"`
	Remember     time.Duration     `yaml:"remember" doc:"how long a reviewed token is remembered, under a keyed digest, and not reviewed again; never beyond its end. For so long an account that was deleted may still act; 0 means not at all"`
	RememberMost int               `yaml:"remember_most" doc:"how many reviewed tokens are remembered at most"`
	PerAddress   throttle.Settings `yaml:"per_address" doc:"how failures from one address are slowed; an IPv6 address counts as its /64"`
}

// Where a pod has what it needs to speak to its cluster.
const (
	podCA    = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
	podToken = "/var/run/secrets/kubernetes.io/serviceaccount/token" //nolint:gosec // the name of a file
)

// Defaults fills every field; the audiences have none.
func (s *Settings) Defaults() {
	*s = Settings{
		Name:      Name,
		CAFile:    podCA,
		TokenFile: podToken,
		Timeout:   5 * time.Second, Concurrent: 16,
		Remember: time.Minute, RememberMost: 10_000,
	}
	s.PerAddress.Defaults()
	s.PerAddress.Failures = 30 // all pods of a machine may share one address
}

// The bounds of settings.
const (
	mostTimeout    = 30 * time.Second
	mostConcurrent = 1024
	mostRemember   = 10 * time.Minute
	mostEntries    = 1_000_000
)

// Validate refuses what would be unsafe or senseless.
func (s *Settings) Validate() error {
	return errors.Join(
		want(auth.CheckProvider(s.Name) == nil, "name", "%.64q: use lower-case letters, digits and '-', at most 63", s.Name),
		want(s.Server == "" || goodServer(s.Server), "server", "must be an https URL without user, password and query"),
		want(s.CAFile != "", "ca_file", "must be given"),
		want(s.TokenFile != "", "token_file", "must be given"),
		want(len(s.Audiences) > 0, "audiences", "must have at least one, or tokens meant for other services would be good here"),
		want(!slices.Contains(s.Audiences, ""), "audiences", "must not have an empty one"),
		want(s.Timeout >= 100*time.Millisecond && s.Timeout <= mostTimeout, "timeout", "must be from 100ms to %s, is %s", mostTimeout, s.Timeout),
		want(s.Concurrent >= 1 && s.Concurrent <= mostConcurrent, "concurrent", "must be from 1 to %d, is %d", mostConcurrent, s.Concurrent),
		want(s.Remember >= 0 && s.Remember <= mostRemember, "remember", "must be from 0 to %s, is %s", mostRemember, s.Remember),
		want(s.RememberMost >= 1 && s.RememberMost <= mostEntries, "remember_most", "must be from 1 to %d, is %d", mostEntries, s.RememberMost),
		s.PerAddress.Validate(place+".per_address"),
	)
}

func goodServer(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == ""
}

func want(ok bool, field, format string, args ...any) error {
	if ok {
		return nil
	}
	return config.Errorf(config.Invalid, "settings", place+"."+field, format, args...)
}

// server is the API server to ask; in a pod, the environment names it.
func (s *Settings) server(getenv func(string) string) (string, error) {
	if s.Server != "" {
		return s.Server, nil
	}
	host, port := getenv("KUBERNETES_SERVICE_HOST"), getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return "", config.Errorf(config.Invalid, "open", place+".server", "must be given, as the node does not run in a pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set")
	}
	return "https://" + net.JoinHostPort(host, port), nil
}

// Open returns the working driver, an *Authenticator. The API server is first
// asked when a token needs it, so that a node starts without it.
func (s *Settings) Open(_ context.Context, env auth.Env) (auth.Authenticator, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	server, err := s.server(os.Getenv)
	if err != nil {
		return nil, err
	}
	return open(*s, server, env.WithDefaults())
}

var _ auth.Driver = (*Settings)(nil)
