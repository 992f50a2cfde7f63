package bench

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// Issuer is who signs the tokens of a server that is measured, by the provider's
// name Issuer and for the audience Issuer.
const Issuer = "bench"

// The rights that the server has to decide by: so many roles that were made, and
// so many bindings of one subject and its group beside the one that counts.
const (
	madeRoles     = 50
	otherBindings = 200
)

// issuer signs tokens that the server takes.
type issuer struct{ key ed25519.PrivateKey }

// newIssuer makes an issuer and writes its public key where the server reads it.
func newIssuer(file string) (*issuer, error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	set, err := json.Marshal(map[string]any{"keys": []any{map[string]string{
		"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": Issuer, "x": base64.RawURLEncoding.EncodeToString(public),
	}}})
	if err != nil {
		return nil, err
	}
	return &issuer{private}, os.WriteFile(file, set, 0o600)
}

// token signs who somebody is, for an hour.
func (i *issuer) token(subject string, groups ...string) (string, error) {
	now := time.Now()
	var text string
	for _, part := range []map[string]any{
		{"alg": "EdDSA", "typ": "JWT", "kid": Issuer},
		{"iss": Issuer, "aud": Issuer, "sub": subject, "groups": groups, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()},
	} {
		b, err := json.Marshal(part)
		if err != nil {
			return "", err
		}
		if text != "" {
			text += "."
		}
		text += base64.RawURLEncoding.EncodeToString(b)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(i.key, []byte(text))), nil
}

// identities compares reads by an API token with one binding and reads by a JWT
// whose rights come from many bindings, most of them of its group.
func (r *run) identities(ctx context.Context) (_ []Result, err error) {
	dir, err := os.MkdirTemp(r.dir, scenarioIdentities+"-")
	if err != nil {
		return nil, err
	}
	keys := filepath.Join(dir, "jwks.json")
	signer, err := newIssuer(keys)
	if err != nil {
		return nil, err
	}
	t, err := r.openWith(ctx, Setup{Dir: filepath.Join(dir, "data"), JWKS: keys})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	paths, err := t.seed(ctx, scenarioIdentities, 1)
	if err != nil {
		return nil, err
	}
	if err := t.bindMany(ctx); err != nil {
		return nil, err
	}
	jwt, err := signer.token("reader", "readers")
	if err != nil {
		return nil, err
	}
	c := contest{scenario: scenarioIdentities, title: fmt.Sprintf("GET of one config of 1 KiB, %d connections, by a JWT whose rights come from %d bindings, and by an API token", r.Connections, otherBindings+1)}
	for _, s := range []struct{ name, authorization string }{{"JWT, group, roles that were made", "Bearer " + jwt}, {"API token", t.authorization}} {
		conns, err := t.server.dialMany(ctx, r.Connections)
		if err != nil {
			return nil, err
		}
		defer conns.close()
		request := t.server.request(http.MethodGet, dataPath(paths[0]), s.authorization, "", nil)
		c.subjects = append(c.subjects, subject{name: s.name, pids: t.pids, round: conns.repeat(request, http.StatusOK)})
	}
	own := &run{Options: r.Options, dir: r.dir, target: t}
	result, err := own.play(ctx, c)
	return []Result{result}, err
}

// bindMany gives the reader's group the env by a role that was made, and it and
// its group much else.
func (t *target) bindMany(ctx context.Context) error {
	roles := make([]string, madeRoles)
	for i := range roles {
		roles[i] = fmt.Sprintf("%s-%d", t.env.Tenant, i)
		if _, err := t.client.CreateRole(ctx, client.Role{Name: roles[i], Verbs: []string{"fetch", "report"}}); err != nil {
			return err
		}
	}
	group := Issuer + ":readers"
	if _, err := t.client.CreateGroupBinding(ctx, group, client.Grant{Role: roles[0], Scope: t.env}); err != nil {
		return err
	}
	for i := range otherBindings {
		g := client.Grant{Role: roles[i%madeRoles], Scope: config.Path{Tenant: t.env.Tenant}, Pattern: fmt.Sprintf("other-%d/prod", i)}
		bind, whom := t.client.CreateGroupBinding, group
		if i%4 == 0 {
			bind, whom = t.client.CreateBinding, Issuer+":reader"
		}
		if _, err := bind(ctx, whom, g); err != nil {
			return err
		}
	}
	return nil
}
