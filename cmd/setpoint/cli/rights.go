package cli

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

const patternHelp = "only what below the path has this `PATTERN`: */prod, or prod/db-*"

func (a *app) role() *cobra.Command {
	ls := a.command("list", "List the roles and what they may do", cobra.NoArgs, func(ctx context.Context, c *client.Client, _ []string) error {
		all, err := collect(c.Roles(ctx), 0)
		if err != nil {
			return err
		}
		t := table{header: []string{"ROLE", "MAY", "BUILT IN", "DESCRIPTION"}}
		for _, r := range all {
			t.add(r.Name, strings.Join(r.Verbs, " "), yesNo(r.Builtin), r.Description)
		}
		return a.show(all, t)
	})
	ls.Aliases = []string{"ls"}
	rm := a.command("delete ROLE", "Delete a role that was made and is bound nowhere", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		if err := c.DeleteRole(ctx, args[0], ""); err != nil {
			return err
		}
		return a.done(map[string]any{"deleted": args[0]}, "deleted role %s", args[0])
	})
	rm.Aliases = []string{"rm"}
	g := group("role", "Manage roles, give them to users and take them away", ls, a.roleCreate(), a.roleUpdate(), rm,
		a.grant("grant"), a.revoke("revoke"))
	for _, cmd := range g.Commands() {
		if cmd != ls && !strings.Contains(cmd.Use, "SCOPE") {
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
	}
	return g
}

func (a *app) roleCreate() *cobra.Command {
	var r client.Role
	cmd := a.command("create ROLE", "Make a role of verbs", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		r.Name = args[0]
		made, err := c.CreateRole(ctx, r)
		if err != nil {
			return err
		}
		return a.done(made, "created role %s: %s", made.Name, strings.Join(made.Verbs, " "))
	})
	cmd.Example = "  setpoint role create releaser --verb fetch,read,rollout"
	cmd.Flags().StringSliceVar(&r.Verbs, "verb", nil, "it may do `VERB`; may be given again")
	cmd.Flags().StringVarP(&r.Description, "description", "d", "", "what it is for")
	_ = cmd.MarkFlagRequired("verb")
	return cmd
}

func (a *app) roleUpdate() *cobra.Command {
	var description string
	var verbs []string
	var cmd *cobra.Command
	cmd = a.command("update ROLE", "Change a role that was made, at once wherever it is bound", cobra.ExactArgs(1),
		func(ctx context.Context, c *client.Client, args []string) error {
			patch := client.RolePatch{Verbs: verbs}
			if cmd.Flags().Changed("description") {
				patch.Description = &description
			}
			if patch.Description == nil && len(verbs) == 0 {
				return usagef("nothing to change: give at least one flag")
			}
			r, err := c.UpdateRole(ctx, args[0], patch)
			if err != nil {
				return err
			}
			return a.done(r, "changed role %s: %s", r.Name, strings.Join(r.Verbs, " "))
		})
	cmd.Flags().StringSliceVar(&verbs, "verb", nil, "all that it may do from now on is `VERB`; may be given again")
	cmd.Flags().StringVarP(&description, "description", "d", "", "what it is for")
	return cmd
}

func (a *app) binding() *cobra.Command {
	var f client.BindingFilter
	var scope string
	var deny bool
	var ls *cobra.Command
	ls = a.command("list", "List who has which role where", cobra.NoArgs, func(ctx context.Context, c *client.Client, _ []string) error {
		var err error
		if f.Scope, err = config.ParsePath(scope); err != nil {
			return err
		}
		if ls.Flags().Changed("deny") {
			f.Deny = &deny
		}
		all, err := collect(c.FindBindings(ctx, f), 0)
		if err != nil {
			return err
		}
		t := table{header: []string{"ID", "USER", "GROUP", "ROLE", "SCOPE", "EFFECT", "CREATED", "BY"}}
		for _, b := range all {
			t.add(b.ID, dash(b.User), dash(b.Group), b.Role, whereText(b.Grant()), effect(b.Grant(), "allow", "deny"), when(b.CreatedAt), b.CreatedBy)
		}
		return a.show(all, t)
	})
	ls.Aliases = []string{"ls"}
	ls.Flags().StringVar(&f.User, "user", "", "only of this `USER`")
	ls.Flags().StringVar(&f.Group, "group", "", "only of this `GROUP`")
	ls.Flags().StringVar(&f.Role, "role", "", "only of this `ROLE`")
	ls.Flags().StringVar(&f.Pattern, "pattern", "", "only with this `PATTERN`")
	ls.Flags().StringVar(&scope, "scope", "", "only at this `PATH` or below it")
	ls.Flags().BoolVar(&deny, "deny", false, "only those that deny, or with =false only those that give")
	rm := a.command("delete ID", "Take a role, or its denial, away, by the binding's id", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		if err := c.DeleteBinding(ctx, args[0]); err != nil {
			return err
		}
		return a.done(map[string]any{"deleted": args[0]}, "deleted binding %s", args[0])
	})
	rm.Aliases = []string{"rm"}
	rm.ValidArgsFunction = cobra.NoFileCompletions
	return group("binding", "Manage the bindings of users and groups to roles", a.grant("create"), ls, rm)
}

// grantFlags say what a role is given, or denied, to and where.
type grantFlags struct {
	group, pattern string
	deny           bool
}

func (f *grantFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.group, "group", "", "to the members of this `GROUP`, in place of a user")
	cmd.Flags().StringVar(&f.pattern, "pattern", "", patternHelp)
	cmd.Flags().BoolVar(&f.deny, "deny", false, "deny what the role allows there, whatever else gives it")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if f.group != "" {
			return cobra.ExactArgs(2)(cmd, args)
		}
		return cobra.ExactArgs(3)(cmd, args)
	}
}

// read returns the user, or "", and the grant that the arguments name.
func (f *grantFlags) read(args []string) (user string, g client.Grant, err error) {
	if f.group == "" {
		user, args = args[0], args[1:]
	}
	scope, err := config.ParsePath(args[1])
	return user, client.Grant{Role: args[0], Scope: scope, Pattern: f.pattern, Deny: f.deny}, err
}

func (a *app) grant(name string) *cobra.Command {
	var f grantFlags
	cmd := a.command(name+" [USER] ROLE SCOPE", "Give a user or a group a role at a path and below, or deny it; / is everything", nil,
		func(ctx context.Context, c *client.Client, args []string) error {
			user, g, err := f.read(args)
			if err != nil {
				return err
			}
			var b client.Binding
			if f.group != "" {
				b, err = c.CreateGroupBinding(ctx, f.group, g)
			} else {
				b, err = c.CreateBinding(ctx, user, g)
			}
			if err != nil {
				return err
			}
			return a.done(b, "%s %s %s on %s", holder(b.User, b.Group), effect(g, "is", "is denied"), b.Role, whereText(g))
		})
	cmd.Long = cmd.Short + ".\n\nA user or a group that is known elsewhere is written PROVIDER:NAME, corp:alice@example.com."
	cmd.Example = "  setpoint " + map[string]string{"grant": "role", "create": "binding"}[name] + " " + name + " alice publisher acme/checkout\n" +
		"  setpoint binding create --group devs admin acme --pattern '*/prod' --deny"
	f.register(cmd)
	return cmd
}

func (a *app) revoke(name string) *cobra.Command {
	var f grantFlags
	cmd := a.command(name+" [USER] ROLE SCOPE", "Take a role at a path, or its denial, away from a user or a group", nil,
		func(ctx context.Context, c *client.Client, args []string) error {
			user, g, err := f.read(args)
			if err != nil {
				return err
			}
			for b, err := range c.FindBindings(ctx, client.BindingFilter{User: user, Group: f.group}) {
				if err != nil {
					return err
				}
				if b.User == user && b.Group == f.group && b.Grant() == g {
					if err := c.DeleteBinding(ctx, b.ID); err != nil {
						return err
					}
					return a.done(b, "%s is no longer %s%s on %s", holder(user, f.group), effect(g, "", "denied "), g.Role, whereText(g))
				}
			}
			return config.Errorf(config.NotFound, "revoke", "", "%s is not %s%s on %s; 'setpoint binding list --%s %s' lists what is",
				holder(user, f.group), effect(g, "", "denied "), g.Role, whereText(g), kindOf(user), cmp.Or(user, f.group))
		})
	f.register(cmd)
	return cmd
}

func (a *app) rights() *cobra.Command {
	var as string
	can := a.command("can-i VERB PATH", "Tell whether you may do something at a path, and why; / is everything", cobra.ExactArgs(2),
		func(ctx context.Context, c *client.Client, args []string) error {
			path, err := config.ParsePath(args[1])
			if err != nil {
				return err
			}
			var x client.Explanation
			if as == "" {
				x, err = c.CanI(ctx, args[0], path)
			} else {
				x, err = c.Can(ctx, as, args[0], path)
			}
			if err != nil {
				return err
			}
			return a.showExplanation(x)
		})
	can.Flags().StringVar(&as, "as", "", "whether this `SUBJECT` may: a user, or one known elsewhere as PROVIDER:NAME")
	can.Example = "  setpoint auth can-i publish acme/checkout/prod\n  setpoint auth can-i read acme --as alice"
	who := a.command("who-can VERB PATH", "List the groups and users that may do something at a path; / is everything", cobra.ExactArgs(2),
		func(ctx context.Context, c *client.Client, args []string) error {
			path, err := config.ParsePath(args[1])
			if err != nil {
				return err
			}
			all, err := collect(c.WhoCan(ctx, args[0], path), 0)
			if err != nil {
				return err
			}
			t := table{header: []string{"GROUP", "USER", "SERVICE", "BECAUSE"}}
			for _, h := range all {
				var because []string
				for _, r := range h.Because {
					because = append(because, reasonText(r))
				}
				t.add(dash(h.Group), dash(h.User), yesNo(h.Service), dash(strings.Join(because, ", ")))
			}
			return a.show(all, t)
		})
	can.ValidArgsFunction, who.ValidArgsFunction = cobra.NoFileCompletions, cobra.NoFileCompletions
	return group("auth", "Ask who may do what, and why", can, who)
}

func (a *app) showExplanation(x client.Explanation) error {
	t := facts("allowed", yesNo(x.Allowed), "why", x.Why)
	for _, r := range x.Because {
		t.add("because", reasonText(r))
	}
	return a.show(x, t)
}

func reasonText(r client.Reason) string {
	text := fmt.Sprintf("%s%s on %s", effect(r.Grant, "", "denied "), r.Role, whereText(r.Grant))
	if r.Group != "" {
		text += " by group " + r.Group
	}
	if r.Narrowing {
		text += " of the token"
	}
	return text
}

// whereText is where a grant holds.
func whereText(g client.Grant) string {
	if g.Pattern == "" {
		return scopeText(g.Scope)
	}
	return g.Scope.String() + "/" + g.Pattern
}

func effect(g client.Grant, allow, deny string) string {
	if g.Deny {
		return deny
	}
	return allow
}

func kindOf(user string) string {
	if user == "" {
		return "group"
	}
	return "user"
}

func holder(user, group string) string {
	if user != "" {
		return user
	}
	return "group " + group
}
