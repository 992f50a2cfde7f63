package program

import (
	"iter"
	"testing"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// Path reads a path that a test wrote.
func Path(t testing.TB, text string) config.Path {
	t.Helper()
	p, err := config.ParsePath(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Envs makes envs with the tenants and apps above them, where they are missing.
func Envs(t testing.TB, c *client.Client, envs ...string) {
	t.Helper()
	there := func(err error) {
		t.Helper()
		if err != nil && config.KindOf(err) != config.Exists {
			t.Fatal(err)
		}
	}
	for _, text := range envs {
		p := Path(t, text)
		_, err := c.CreateTenant(t.Context(), config.Tenant{Name: p.Tenant})
		there(err)
		_, err = c.CreateApp(t.Context(), config.App{Tenant: p.Tenant, Name: p.App})
		there(err)
		_, err = c.CreateEnv(t.Context(), config.Env{Tenant: p.Tenant, App: p.App, Name: p.Env})
		there(err)
	}
}

// Collect reads a listing to its end.
func Collect[T any](seq iter.Seq2[T, error]) ([]T, error) {
	var all []T
	for item, err := range seq {
		if err != nil {
			return nil, err
		}
		all = append(all, item)
	}
	return all, nil
}
