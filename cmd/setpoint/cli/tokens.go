package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

func (a *app) token() *cobra.Command {
	ls := a.command("ls [USER]", "List your tokens, or a user's", cobra.MaximumNArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		all, err := collect(c.Tokens(ctx, strings.Join(args, "")), 0)
		if err != nil {
			return err
		}
		t := table{header: []string{"ID", "USER", "SESSION", "GRANTS", "CREATED", "EXPIRES", "DESCRIPTION"}}
		for _, k := range all {
			t.add(k.ID, k.User, yesNo(k.Session), grantsText(k.Grants), when(k.CreatedAt), when(k.ExpiresAt), k.Description)
		}
		return a.show(all, t)
	})
	rm := a.command("rm ID", "End a token at once", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		if err := c.RevokeToken(ctx, args[0]); err != nil {
			return err
		}
		return a.done(map[string]any{"revoked": args[0]}, "revoked token %s", args[0])
	})
	rm.Aliases = []string{"revoke"}
	return group("token", "Manage API tokens", a.tokenCreate(), ls, rm)
}

func grantsText(grants []client.Grant) string {
	var parts []string
	for _, g := range grants {
		parts = append(parts, g.Role+"@"+whereText(g))
	}
	return dash(strings.Join(parts, ","))
}

func (a *app) tokenCreate() *cobra.Command {
	var n client.NewToken
	var role, ttl string
	var scopes []string
	var pattern string
	cmd := a.command("create", "Make a token and print its secret, this once", cobra.NoArgs,
		func(ctx context.Context, c *client.Client, _ []string) error {
			var err error
			if n.TTL, err = lifetime(ttl); err != nil {
				return err
			}
			if n.Grants, err = tokenGrants(role, scopes, pattern); err != nil {
				return err
			}
			t, err := c.CreateToken(ctx, n)
			if err != nil {
				return err
			}
			return a.showNewToken(t)
		})
	cmd.Long = "Make a token and print its secret, this once.\n\n" +
		"With --role and --scope the token may do that much of what its user may do; without, all of it."
	cmd.Example = "  setpoint token create --user svc --role client --scope acme/checkout/prod --ttl 720h"
	cmd.Flags().StringVar(&n.User, "user", "", "for this `USER`; yourself if not given")
	cmd.Flags().StringVarP(&n.Description, "description", "d", "", "what it is for")
	cmd.Flags().StringVar(&role, "role", "", "narrow it to this `ROLE`")
	cmd.Flags().StringSliceVar(&scopes, "scope", nil, "narrow it to this `PATH`, / for everything; may be given again")
	cmd.Flags().StringVar(&pattern, "pattern", "", patternHelp)
	cmd.Flags().StringVar(&ttl, "ttl", "", "how `LONG` it lasts: 720h or 30d; without end if not given")
	cmd.MarkFlagsRequiredTogether("role", "scope")
	return cmd
}

func tokenGrants(role string, scopes []string, pattern string) ([]client.Grant, error) {
	var grants []client.Grant
	for _, text := range scopes {
		scope, err := config.ParsePath(text)
		if err != nil {
			return nil, err
		}
		grants = append(grants, client.Grant{Role: role, Scope: scope, Pattern: pattern})
	}
	return grants, nil
}

// showNewToken prints the secret alone on standard output, so that a script can
// take it, and the rest beside it.
func (a *app) showNewToken(t client.CreatedToken) error {
	if a.flags.output == "json" || a.flags.output == "yaml" {
		return a.encode(struct {
			client.Token
			Secret string `json:"token"`
		}{t.Token, t.Secret.Reveal()})
	}
	a.note("token %s of %s, until %s; this is the only time that its secret is shown:", t.ID, t.User, when(t.ExpiresAt))
	_, err := fmt.Fprintln(a.env.Stdout, t.Secret.Reveal())
	return err
}

// lifetime reads "720h" or "30d"; "" is 0.
func lifetime(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok && err != nil {
		if d, err = time.ParseDuration(days + "h"); err == nil {
			d *= 24
		}
	}
	if err != nil || d <= 0 {
		return 0, usagef("%q is no length of time; write 720h or 30d", text)
	}
	return d, nil
}

// date reads a date or a time of day, here where none says otherwise.
func date(text string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, time.DateTime, time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// pointInTime reads "24h" as so long ago, a date, or RFC 3339; "" is none.
func pointInTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, ok := date(text); ok {
		return t, nil
	}
	d, err := lifetime(text)
	if err != nil {
		return time.Time{}, usagef("%q is no time; write 24h, 2026-01-31 or 2026-01-31T10:00:00Z", text)
	}
	return time.Now().Add(-d), nil
}

func (a *app) version() *cobra.Command {
	var server bool
	cmd := &cobra.Command{
		Use: "version", Short: "Show the version of this program, or of the server", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t := facts("setpoint", a.env.Version)
			value := map[string]string{"version": a.env.Version}
			if server {
				c, err := a.connect()
				if err != nil {
					return err
				}
				defer c.Close()
				v, err := c.Version(cmd.Context())
				if err != nil {
					return err
				}
				t.add("server", v.Version+" ("+v.Go+")")
				value["server"] = v.Version
			}
			return a.show(value, t)
		},
	}
	cmd.Flags().BoolVar(&server, "server", false, "ask the server too")
	return cmd
}
