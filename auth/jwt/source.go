package jwt

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
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

	"github.com/go-jose/go-jose/v4"

	"github.com/setpointhq/setpoint/config"
)

// The bounds of a key set.
const (
	maxKeys     = 100
	maxKeyBytes = 512 << 10
	leastRSA    = 2048 // bits
	mostRSA     = 8192 // bits; verifying takes longer with their square
)

// remote is a key set at a URL.
type remote struct {
	url    string
	client *http.Client
}

func openRemote(s Settings) (*remote, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.CAFile != "" {
		pem, err := os.ReadFile(s.CAFile)
		if err != nil {
			return nil, config.Errorf(config.Invalid, "open", place+".ca_file", "%w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, config.Errorf(config.Invalid, "open", place+".ca_file", "%s holds no PEM certificate", s.CAFile)
		}
	}
	return &remote{url: s.JWKSURL, client: &http.Client{
		Timeout: s.Timeout,
		// One fetch in minutes is not worth a connection that is kept.
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: conf, DisableKeepAlives: true, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10},
		// Who answers for the keys is what the settings say, not what a server says.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func (r *remote) load(ctx context.Context) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %d; want 200, and no redirect", r.url, resp.StatusCode)
	}
	return readBounded(resp.Body, r.url)
}

func (*remote) keep() {}

// file is a key set in a file.
type file struct {
	path        string
	found, kept stamp
}

// stamp tells one state of a file from another.
type stamp struct {
	modified time.Time
	size     int64
}

func (f *file) load(context.Context) ([]byte, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", f.path)
	}
	f.found = stamp{info.ModTime(), info.Size()}
	if f.found == f.kept {
		return nil, nil //nolint:nilnil // it is as it was
	}
	content, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer content.Close() //nolint:errcheck // it was only read
	return readBounded(content, f.path)
}

func (f *file) keep() { f.kept = f.found }

func readBounded(r io.Reader, name string) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxKeyBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(text) > maxKeyBytes {
		return nil, fmt.Errorf("%s has more than the %d KiB that are read of a key set", name, maxKeyBytes>>10)
	}
	return text, nil
}

// readKeys reads a JSON Web Key Set (RFC 7517). What is no public key to verify
// signatures with is left out, as the RFC wants; a set of nothing else is none.
func readKeys(text []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errors.New("want a JSON Web Key Set, {\"keys\": […]}; it is something else")
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("the key set has %d keys; at most %d are taken", len(set.Keys), maxKeys)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if err := key.UnmarshalJSON(raw); err == nil && verifies(&key) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the key set has no public key that could verify a signature; RSA keys need at least 2048 bits")
	}
	return keys, nil
}

// verifies reports whether it is a public key for signatures of those algorithms
// that can be allowed. Secrets are none: whoever serves them tells everybody.
func verifies(key *jose.JSONWebKey) bool {
	if key.Use != "" && key.Use != "sig" || !key.Valid() {
		return false
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		bits := public.N.BitLen()
		return bits >= leastRSA && bits <= mostRSA
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false
}

// fits reports whether the key is of the algorithm's sort and, if it says for
// which one it is, for that. So a public key is never taken for a secret.
func fits(key *jose.JSONWebKey, algorithm string) bool {
	if key.Algorithm != "" && key.Algorithm != algorithm {
		return false
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(algorithm, "RS") || strings.HasPrefix(algorithm, "PS")
	case *ecdsa.PublicKey:
		switch algorithm {
		case "ES256":
			return public.Curve.Params().BitSize == 256
		case "ES384":
			return public.Curve.Params().BitSize == 384
		case "ES512":
			return public.Curve.Params().BitSize == 521
		}
		return false
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	}
	return false
}
