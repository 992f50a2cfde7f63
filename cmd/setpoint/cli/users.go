package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

func (a *app) user() *cobra.Command {
	ls := a.command("ls", "List the users", cobra.NoArgs, func(ctx context.Context, c *client.Client, _ []string) error {
		all, err := collect(c.Users(ctx), 0)
		if err != nil {
			return err
		}
		t := table{header: []string{"USER", "SERVICE", "DISABLED", "GROUPS", "CREATED", "BY", "DESCRIPTION"}}
		for _, u := range all {
			t.add(u.Name, yesNo(u.Service), yesNo(u.Disabled), dash(strings.Join(u.Groups, ",")), when(u.CreatedAt), u.CreatedBy, u.Description)
		}
		return a.show(all, t)
	})
	get := a.command("get USER", "Show a user and its roles", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		u, err := c.User(ctx, args[0])
		if err != nil {
			return err
		}
		return a.show(u, facts("user", u.Name, "service", yesNo(u.Service), "disabled", yesNo(u.Disabled),
			"groups", dash(strings.Join(u.Groups, " ")), "description", dash(u.Description), "created", when(u.CreatedAt)+" by "+u.CreatedBy))
	})
	rm := a.command("rm USER", "Delete a user with its tokens and roles", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		if err := c.DeleteUser(ctx, args[0], ""); err != nil {
			return err
		}
		return a.done(map[string]any{"deleted": args[0]}, "deleted user %s", args[0])
	})
	g := group("user", "Manage users", a.userCreate(), ls, get, a.userSet(), a.userPasswd(), rm)
	for _, cmd := range g.Commands() {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	return g
}

// passwordFlags say where a new password comes from.
type passwordFlags struct{ stdin, generate bool }

func (f *passwordFlags) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.stdin, "password-stdin", false, "read the password from standard input")
	cmd.Flags().BoolVar(&f.generate, "generate", false, "make a random password and print it once")
	cmd.MarkFlagsMutuallyExclusive("password-stdin", "generate")
}

// password returns the new password, and whether it must be shown. Where nobody
// can be asked, it is made.
func (a *app) password(ctx context.Context, f passwordFlags, user string) (config.Secret, bool, error) {
	switch {
	case f.stdin:
		s, err := a.secretFromStdin()
		return s, false, err
	case f.generate || !a.interactive():
		return config.NewSecret(rand.Text()), true, nil
	default:
		s, err := a.newSecret(ctx, fmt.Sprintf("Password for %s: ", user))
		return s, false, err
	}
}

func (a *app) userCreate() *cobra.Command {
	var n client.NewUser
	var f passwordFlags
	cmd := a.command("create USER", "Make a user; asks for the password, or makes one", cobra.ExactArgs(1),
		func(ctx context.Context, c *client.Client, args []string) error {
			n.Name = args[0]
			show := false
			if !n.Service {
				var err error
				if n.Password, show, err = a.password(ctx, f, n.Name); err != nil {
					return err
				}
			}
			u, err := c.CreateUser(ctx, n)
			if err != nil {
				return err
			}
			return a.showUser(u, "created", n.Password, show)
		})
	cmd.Flags().BoolVar(&n.Service, "service", false, "a program: it has no password, only tokens")
	cmd.Flags().StringVarP(&n.Description, "description", "d", "", "who it is")
	cmd.Flags().StringSliceVar(&n.Groups, "group", nil, "put it into this `GROUP`; may be given again")
	f.register(cmd)
	return cmd
}

func (a *app) showUser(u client.User, verb string, password config.Secret, show bool) error {
	if !show {
		return a.done(u, "%s user %s", verb, u.Name)
	}
	value := struct {
		client.User
		Password string `json:"password"`
	}{u, password.Reveal()}
	if a.flags.output == "json" || a.flags.output == "yaml" {
		return a.encode(value)
	}
	_, err := fmt.Fprintf(a.env.Stdout, "%s user %s\npassword: %s\n", verb, clean(u.Name), password.Reveal())
	return err
}

func (a *app) userSet() *cobra.Command {
	var description string
	var disabled, newPassword bool
	var groups []string
	var f passwordFlags
	var cmd *cobra.Command
	cmd = a.command("set USER", "Change a user", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		var patch client.UserPatch
		if cmd.Flags().Changed("description") {
			patch.Description = &description
		}
		if cmd.Flags().Changed("disabled") {
			patch.Disabled = &disabled
		}
		if cmd.Flags().Changed("group") {
			set := slices.DeleteFunc(groups, func(name string) bool { return name == "" })
			patch.Groups = &set
		}
		var secret config.Secret
		var show bool
		if newPassword || f.stdin || f.generate {
			var err error
			if secret, show, err = a.password(ctx, f, args[0]); err != nil {
				return err
			}
			patch.Password = &secret
		}
		if patch == (client.UserPatch{}) {
			return usagef("nothing to change: give at least one flag")
		}
		u, err := c.UpdateUser(ctx, args[0], patch)
		if err != nil {
			return err
		}
		return a.showUser(u, "changed", secret, show)
	})
	cmd.Flags().StringVarP(&description, "description", "d", "", "who it is")
	cmd.Flags().BoolVar(&disabled, "disabled", false, "take all access away, or with =false give it back")
	cmd.Flags().StringArrayVar(&groups, "group", nil, "all that it is in from now on is this `GROUP`, \"\" for none; may be given again")
	cmd.Flags().BoolVar(&newPassword, "password", false, "set a new password: asks for it")
	f.register(cmd)
	return cmd
}

func (a *app) userPasswd() *cobra.Command {
	return a.command("passwd", "Change your own password", cobra.NoArgs, func(ctx context.Context, c *client.Client, _ []string) error {
		old, err := a.askSecret(ctx, "Old password: ")
		if err != nil {
			return err
		}
		password, err := a.newSecret(ctx, "New password: ")
		if err != nil {
			return err
		}
		if err := c.SetPassword(ctx, old, password); err != nil {
			return err
		}
		a.note("the password is changed")
		return nil
	})
}

func (a *app) audit() *cobra.Command {
	var f client.AuditFilter
	var path, since, until string
	var limit int
	cmd := a.command("audit [TENANT]", "List who did what in a tenant, or without one in the system", cobra.MaximumNArgs(1),
		func(ctx context.Context, c *client.Client, args []string) error {
			var err error
			if f.Path, err = config.ParsePath(path); err != nil {
				return err
			}
			if f.Since, err = pointInTime(since); err != nil {
				return err
			}
			if f.Until, err = pointInTime(until); err != nil {
				return err
			}
			tenant := f.Path.Tenant
			if len(args) == 1 {
				tenant = args[0]
			}
			return a.showAudit(ctx, c, tenant, f, limit)
		})
	cmd.Flags().StringVar(&f.Action, "action", "", "only this `ACTION`, such as config.publish")
	cmd.Flags().StringVar(&f.Actor, "actor", "", "only what this `USER` did")
	cmd.Flags().StringVar(&path, "path", "", "only at this `PATH` or below it")
	cmd.Flags().StringVar(&since, "since", "", "from this `TIME`: 24h ago, 2026-01-31, or RFC 3339")
	cmd.Flags().StringVar(&until, "until", "", "up to this `TIME`")
	cmd.Flags().IntVarP(&limit, "limit", "n", 100, "at most `N`; 0 for all")
	cmd.Long = cmd.Short + ".\n\nA tenant that has the name of a command below is listed with --path TENANT."
	cmd.AddCommand(a.auditVerify(), a.auditSeal())
	return cmd
}

func (a *app) showAudit(ctx context.Context, c *client.Client, tenant string, f client.AuditFilter, limit int) error {
	all, err := collect(c.Audit(ctx, tenant, f), limit)
	if err != nil {
		return err
	}
	t := table{header: []string{"TIME", "ACTOR", "ACTION", "OUTCOME", "WHAT", "FROM", "COMMENT"}}
	for _, r := range all {
		what := r.Path.String()
		switch {
		case len(r.Items) == 1:
			what = fmt.Sprintf("%s version %d", r.Items[0].Path, r.Items[0].Version)
		case len(r.Items) > 1:
			what = fmt.Sprintf("%s and %d more", r.Items[0].Path, len(r.Items)-1)
		case what == "":
			what = r.Subject
		}
		outcome := r.Outcome
		if r.Count > 1 {
			outcome = fmt.Sprintf("%s ×%d", outcome, r.Count)
		}
		t.add(when(r.Time), dash(r.Actor.Subject), r.Action, outcome, dash(what), dash(r.Actor.Address), r.Comment)
	}
	return a.show(all, t)
}
