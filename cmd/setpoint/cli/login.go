package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

type loginFlags struct {
	username      string
	provider      string
	passwordStdin bool
	tls           client.TLS
	ttl           time.Duration
}

const defaultEndpoint = "https://localhost:7400"

func (a *app) login() *cobra.Command {
	var f loginFlags
	cmd := &cobra.Command{
		Use:   "login [URL]",
		Short: "Log in to a server and remember it",
		Long: "Log in to a server and remember the session in $XDG_CONFIG_HOME/setpoint/contexts.yaml.\n" +
			"Without URL it is that of the current context, or " + defaultEndpoint + ".\n\n" +
			"With --provider somebody else vouches for you: it shows a page to log in on, in any browser,\n" +
			"and waits until you have. Where the provider is a directory (LDAP), it asks for your name\n" +
			"and password in the directory.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			url := ""
			if len(args) == 1 {
				url = args[0]
			}
			return a.runLogin(cmd.Context(), url, f)
		},
	}
	cmd.Flags().StringVarP(&f.username, "username", "u", "", "log in as `USER`")
	cmd.Flags().StringVar(&f.provider, "provider", "", "log in with this provider, by its `NAME`")
	cmd.Flags().BoolVar(&f.passwordStdin, "password-stdin", false, "read the password from standard input")
	cmd.Flags().StringVar(&f.tls.Fingerprint, "fingerprint", "", "trust the certificate with this `SHA-256`, as the server prints it")
	cmd.Flags().StringVar(&f.tls.CAFile, "ca-file", "", "trust the authorities in this PEM `FILE`")
	cmd.Flags().BoolVar(&f.tls.Insecure, "insecure", false, "do not check the certificate: for experiments only")
	cmd.Flags().DurationVar(&f.ttl, "ttl", 0, "how long the session lasts; 0 for the server's default")
	cmd.MarkFlagsMutuallyExclusive("fingerprint", "ca-file", "insecure")
	return cmd
}

func (a *app) runLogin(ctx context.Context, url string, f loginFlags) error {
	all, err := a.loadContexts()
	if err != nil {
		return err
	}
	s, err := a.loginTarget(all, url, f)
	if err != nil {
		return err
	}
	if s, err = a.trust(ctx, s); err != nil {
		return err
	}
	c, err := a.dial(s)
	if err != nil {
		return err
	}
	defer c.Close()
	session, err := a.prove(ctx, c, f)
	if err != nil {
		return err
	}
	s.User, s.Token, s.ExpiresAt = session.User, session.Token.Reveal(), session.ExpiresAt
	all.Current = a.newContextName(s.Endpoint)
	all.Contexts[all.Current] = s
	if err := a.saveContexts(all); err != nil {
		return err
	}
	return a.done(s, "logged in to %s as %s until %s", s.Endpoint, s.User, when(s.ExpiresAt))
}

// loginTarget says where to log in, and what is known about it already.
func (a *app) loginTarget(all contexts, url string, f loginFlags) (savedContext, error) {
	current := all.Contexts[a.contextName(all)]
	for _, candidate := range []string{a.explicitEndpoint(), current.Endpoint, defaultEndpoint} {
		if url == "" {
			url = candidate
		}
	}
	u, err := client.ParseEndpoint(url)
	if err != nil {
		return savedContext{}, err
	}
	s := all.forEndpoint(u.String(), a.contextName(all))
	if s, err = a.override(s); err != nil {
		return s, err
	}
	if f.tls != (client.TLS{}) {
		s.CAFile, s.Fingerprint, s.Insecure = f.tls.CAFile, f.tls.Fingerprint, f.tls.Insecure
	}
	if s.CAFile != "" { // it is kept, and later commands run elsewhere
		if s.CAFile, err = filepath.Abs(s.CAFile); err != nil {
			return s, err
		}
	}
	s.Endpoint, s.Token = u.String(), ""
	return s, nil
}

func (a *app) newContextName(endpoint string) string {
	for _, name := range []string{a.flags.context, a.env.Getenv("SETPOINT_CONTEXT")} {
		if name != "" {
			return name
		}
	}
	u, err := client.ParseEndpoint(endpoint)
	if err != nil {
		return endpoint
	}
	return u.Host
}

// trust makes sure of the server before a password goes to it. A certificate
// that nothing vouches for is pinned if the user recognizes it.
func (a *app) trust(ctx context.Context, s savedContext) (savedContext, error) {
	c, err := a.dial(s)
	if err != nil {
		return s, err
	}
	defer c.Close()
	_, err = c.Version(ctx)
	var answered *client.Refusal
	if errors.As(err, &answered) {
		return s, nil // it wants a login first: whoever says so has proved who it is
	}
	var untrusted *client.UntrustedError
	if !errors.As(err, &untrusted) || untrusted.Pinned || !a.interactive() {
		return s, err
	}
	fmt.Fprintf(a.env.Stderr, "The certificate of %s is not signed by an authority that is known here.\nIts SHA-256 fingerprint is\n\n    %s\n\n"+
		"Compare it with the one that the server printed at its start.\n", s.Endpoint, untrusted.Fingerprint)
	yes, askErr := a.confirm(ctx, "Trust this certificate?", false)
	if askErr != nil {
		return s, askErr
	}
	if !yes {
		return s, err
	}
	s.Fingerprint = untrusted.Fingerprint
	return s, nil
}

func (a *app) loginPassword(ctx context.Context, f loginFlags) (config.Secret, error) {
	if f.passwordStdin {
		return a.secretFromStdin()
	}
	return a.askSecret(ctx, "Password: ")
}

func (a *app) logout() *cobra.Command {
	var everywhere bool
	cmd := &cobra.Command{
		Use: "logout", Short: "End the session and forget its token", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runLogout(cmd.Context(), everywhere) },
	}
	cmd.Flags().BoolVar(&everywhere, "everywhere", false, "end all your sessions, on every machine; tokens stay good")
	return cmd
}

func (a *app) runLogout(ctx context.Context, everywhere bool) error {
	all, err := a.loadContexts()
	if err != nil {
		return err
	}
	name := a.contextName(all)
	s, known := all.Contexts[name]
	if !known || s.Token == "" {
		return usagef("not logged in")
	}
	c, err := a.dial(s)
	if err != nil {
		return err
	}
	defer c.Close()
	end := c.Logout
	if everywhere {
		end = func(ctx context.Context) error {
			_, err := c.EndSessions(ctx, "")
			return err
		}
	}
	// A session that the server does not know any more is over as well.
	ended := end(ctx)
	if ended != nil && config.KindOf(ended) != config.Unauthenticated {
		a.warn("the token is forgotten here, but lives on at the server until %s", when(s.ExpiresAt))
	} else {
		ended = nil
	}
	s.Token, s.ExpiresAt = "", time.Time{}
	all.Contexts[name] = s
	return errors.Join(a.saveContexts(all), ended)
}

func (a *app) whoami() *cobra.Command {
	return a.command("whoami", "Show who the server takes you for, and what you may do", cobra.NoArgs,
		func(ctx context.Context, c *client.Client, _ []string) error {
			who, err := c.WhoAmI(ctx)
			if err != nil {
				return err
			}
			t := table{}
			t.add("user", who.User)
			if who.Provider != "" {
				t.add("known to", who.Provider)
			}
			if len(who.Groups) > 0 {
				t.add("groups", strings.Join(who.Groups, " "))
			}
			t.add("proved by", who.Method)
			if !who.ExpiresAt.IsZero() {
				t.add("until", when(who.ExpiresAt))
			}
			for _, g := range who.Grants {
				t.add(effect(g, "role", "denied"), g.Role+" on "+whereText(g))
			}
			for _, r := range who.GroupGrants {
				t.add(effect(r.Grant, "role", "denied"), r.Role+" on "+whereText(r.Grant)+" by group "+r.Group)
			}
			for _, g := range who.Narrow {
				t.add("token narrowed to", g.Role+" on "+whereText(g))
			}
			return a.show(who, t)
		})
}

func scopeText(p config.Path) string {
	if p.Level() == config.LevelRoot {
		return "/"
	}
	return p.String()
}

func (a *app) contextCommand() *cobra.Command {
	ls := &cobra.Command{Use: "ls", Short: "List the logins", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		all, err := a.loadContexts()
		if err != nil {
			return err
		}
		t := table{header: []string{"", "NAME", "ENDPOINT", "USER", "UNTIL"}}
		for _, name := range slices.Sorted(maps.Keys(all.Contexts)) {
			s, mark := all.Contexts[name], ""
			if name == a.contextName(all) {
				mark = "*"
			}
			t.add(mark, name, s.Endpoint, dash(s.User), when(s.ExpiresAt))
		}
		return a.show(all.Contexts, t)
	}}
	use := a.changeContexts("use NAME", "Make a login the current one", func(all *contexts, name string) { all.Current = name })
	rm := a.changeContexts("rm NAME", "Forget a login", func(all *contexts, name string) {
		delete(all.Contexts, name)
		if all.Current == name {
			all.Current = ""
		}
	})
	return group("context", "Manage the logins that are remembered", ls, use, rm)
}

// changeContexts is a command that changes the file of logins by a name in it.
func (a *app) changeContexts(use, short string, change func(all *contexts, name string)) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			all, _ := a.loadContexts()
			return slices.Sorted(maps.Keys(all.Contexts)), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			all, err := a.loadContexts()
			if err != nil {
				return err
			}
			if _, known := all.Contexts[args[0]]; !known {
				return config.Errorf(config.NotFound, "", "", "no context %q", args[0])
			}
			change(&all, args[0])
			return a.saveContexts(all)
		},
	}
}
