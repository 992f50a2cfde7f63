package auth_test

import (
	"context"
	"strings"
	"testing"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

// named is a driver that has providers of these names, and takes no credentials.
type named []string

func (named) Authenticate(context.Context, auth.Credentials) (auth.Identity, bool, error) {
	return auth.Identity{}, false, nil
}

func (n named) Providers() (all []auth.Provider) {
	for _, name := range n {
		all = append(all, vouching(name))
	}
	return all
}

type vouching string

func (v vouching) Provider() string { return string(v) }

func (vouching) TakesPasswords() {}

func TestProvidersOfAChain(t *testing.T) {
	chain := auth.Chain{named{"mesh", "corp"}, named{"ci"}}
	var names []string
	for _, p := range chain.Providers() {
		names = append(names, p.Provider())
	}
	if got, want := strings.Join(names, " "), "ci corp mesh"; got != want {
		t.Errorf("want %q, got %q", want, got)
	}
	if err := chain.CheckProviders(); err != nil {
		t.Errorf("want names of their own taken, got %v", err)
	}
	err := append(chain, named{"corp"}).CheckProviders()
	if config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), `"corp"`) {
		t.Errorf("want two of one name refused, got %v", err)
	}
}

func TestProviderAs(t *testing.T) {
	chain := auth.Chain{named{"mesh", "corp"}}
	p, err := auth.ProviderAs[auth.PasswordProvider](chain, "corp")
	if err != nil || p.Provider() != "corp" {
		t.Errorf("want corp, got %v, %v", p, err)
	}
	_, err = auth.ProviderAs[auth.PasswordProvider](chain, "other")
	if config.KindOf(err) != config.NotFound || !strings.Contains(err.Error(), "there are corp, mesh") {
		t.Errorf("want to be told which there are, got %v", err)
	}
	_, err = auth.ProviderAs[auth.Devicer](chain, "corp")
	if config.KindOf(err) != config.NotFound || !strings.Contains(err.Error(), "no provider here") {
		t.Errorf("want to be told that there is none, got %v", err)
	}
}
