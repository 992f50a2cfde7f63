package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/setpointhq/setpoint/client"
)

// prove logs in: with a password that is kept here, or as the provider does it.
func (a *app) prove(ctx context.Context, c *client.Client, f loginFlags) (client.Session, error) {
	if f.provider == "" {
		return a.provePassword(ctx, c, f, "")
	}
	known, err := c.Providers(ctx)
	if err != nil {
		return client.Session{}, err
	}
	var names []string
	for _, p := range known {
		if names = append(names, p.Name); p.Name != f.provider {
			continue
		}
		switch {
		case slices.Contains(p.Flows, "device"):
			return a.proveElsewhere(ctx, c, f)
		case slices.Contains(p.Flows, "password"):
			return a.provePassword(ctx, c, f, f.provider+":")
		}
		return client.Session{}, usagef("nobody logs in with the provider %q: it vouches for programs", f.provider)
	}
	if len(names) == 0 {
		return client.Session{}, usagef("the server has no providers; log in without --provider")
	}
	return client.Session{}, usagef("the server has no provider %q; there are %s", f.provider, strings.Join(names, ", "))
}

// provePassword logs in by name and password; prefix is in front of the name.
func (a *app) provePassword(ctx context.Context, c *client.Client, f loginFlags, prefix string) (client.Session, error) {
	name := f.username
	if name == "" {
		var err error
		if name, err = a.ask(ctx, "Username: "); err != nil {
			return client.Session{}, err
		}
	}
	password, err := a.loginPassword(ctx, f)
	if err != nil {
		return client.Session{}, err
	}
	return c.Login(ctx, prefix+strings.TrimPrefix(name, prefix), password, f.ttl)
}

// proveElsewhere has the person consent on the provider's page.
func (a *app) proveElsewhere(ctx context.Context, c *client.Client, f loginFlags) (client.Session, error) {
	if f.username != "" || f.passwordStdin {
		return client.Session{}, usagef("the provider %q asks for name and password itself; leave --username and --password-stdin out", f.provider)
	}
	login, err := c.BeginDeviceLogin(ctx, f.provider)
	if err != nil {
		return client.Session{}, err
	}
	page, code := login.Complete, "which shows the code"
	if page == "" {
		page, code = login.Page, "and enter the code"
	}
	fmt.Fprintf(a.env.Stderr, "Open this page in a browser, %s, and log in:\n\n    %s\n\n    %s\n\nWaiting …\n", code, page, login.UserCode)
	return c.FinishDeviceLogin(ctx, f.provider, login, f.ttl)
}
