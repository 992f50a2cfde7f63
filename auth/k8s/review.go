package k8s

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// The TokenReview of authentication.k8s.io/v1, as far as it is needed:
// https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/
const (
	apiVersion = "authentication.k8s.io/v1"
	kind       = "TokenReview"
	reviewPath = "/apis/" + apiVersion + "/tokenreviews"
)

type review struct {
	APIVersion string  `json:"apiVersion"`
	Kind       string  `json:"kind"`
	Spec       spec    `json:"spec"`
	Status     *status `json:"status,omitempty"`
}

type spec struct {
	Token     string   `json:"token"`
	Audiences []string `json:"audiences,omitempty"`
}

type status struct {
	Authenticated bool     `json:"authenticated"`
	Audiences     []string `json:"audiences"`
	Error         string   `json:"error"`
	User          struct {
		Username string   `json:"username"`
		Groups   []string `json:"groups"`
	} `json:"user"`
}

// reviewer has the API server of a cluster review tokens.
type reviewer struct {
	url       string
	tokenFile string
	client    *http.Client
}

// The bounds of what is read.
const (
	maxAnswer  = 256 << 10
	idleMost   = 30 * time.Second
	maxHeaders = 64 << 10
)

func newReviewer(s Settings, server string) (*reviewer, error) {
	pem, err := os.ReadFile(s.CAFile)
	if err != nil {
		return nil, config.Errorf(config.Invalid, "open", place+".ca_file", "%w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, config.Errorf(config.Invalid, "open", place+".ca_file", "%s holds no PEM certificate", s.CAFile)
	}
	r := &reviewer{
		url:       strings.TrimSuffix(server, "/") + reviewPath,
		tokenFile: s.TokenFile,
		client: &http.Client{
			Timeout: s.Timeout,
			Transport: &http.Transport{
				Proxy:           http.ProxyFromEnvironment,
				TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
				MaxConnsPerHost: s.Concurrent, IdleConnTimeout: idleMost, MaxResponseHeaderBytes: maxHeaders,
				ForceAttemptHTTP2: true,
			},
			// A redirect would carry tokens elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if _, err := r.token(); err != nil {
		return nil, config.Errorf(config.Invalid, "open", place+".token_file", "%w", err)
	}
	return r, nil
}

// token is the node's own. The cluster replaces the file now and then.
func (r *reviewer) token() (string, error) {
	text, err := os.ReadFile(r.tokenFile)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("%s holds no token", r.tokenFile)
	}
	return token, nil
}

// review asks about a token. An error means that no answer was had.
func (r *reviewer) review(ctx context.Context, token config.Secret, audiences []string) (*status, error) {
	own, err := r.token()
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(review{APIVersion: apiVersion, Kind: kind, Spec: spec{Token: token.Reveal(), Audiences: audiences}})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Authorization", "Bearer "+own)
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK, http.StatusCreated:
	case http.StatusUnauthorized:
		return nil, fmt.Errorf("%s answers 401: it does not take the token in %s", r.url, r.tokenFile)
	case http.StatusForbidden:
		return nil, fmt.Errorf("%s answers 403: bind the ClusterRole system:auth-delegator to the account whose token is in %s", r.url, r.tokenFile)
	default:
		return nil, fmt.Errorf("%s answers %d; want 201, and no redirect", r.url, resp.StatusCode)
	}
	return readReview(resp.Body)
}

// readReview reads an answer. Its text is never quoted, as it holds the token.
func readReview(from io.Reader) (*status, error) {
	text, err := io.ReadAll(io.LimitReader(from, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if len(text) > maxAnswer {
		return nil, fmt.Errorf("the answer has more than the %d KiB that are read", maxAnswer>>10)
	}
	var answer review
	if err := json.Unmarshal(text, &answer); err != nil || answer.Kind != kind || answer.APIVersion != apiVersion || answer.Status == nil {
		return nil, errors.New("the answer is no TokenReview of " + apiVersion + " with a status")
	}
	return answer.Status, nil
}
