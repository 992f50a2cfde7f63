package cli

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

func (a *app) tenant() *cobra.Command {
	var description string
	create := a.command("create TENANT", "Make a tenant", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		t, err := c.CreateTenant(ctx, config.Tenant{Name: args[0], Description: description})
		if err != nil {
			return err
		}
		return a.done(t, "created tenant %s", t.Name)
	})
	create.Flags().StringVarP(&description, "description", "d", "", "what it is for")
	ls := a.command("ls", "List the tenants", cobra.NoArgs, func(ctx context.Context, c *client.Client, _ []string) error {
		return a.lsTenants(ctx, c)
	})
	get := a.command("get TENANT", "Show a tenant", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		p, err := pathArg(args[0], config.LevelTenant)
		if err != nil {
			return err
		}
		t, err := c.Tenant(ctx, p.Tenant)
		if err != nil {
			return err
		}
		return a.show(t, facts("tenant", t.Name, "description", dash(t.Description), "created", when(t.CreatedAt)+" by "+t.CreatedBy))
	})
	set := a.setScope("set TENANT", "Change a tenant", config.LevelTenant, func(ctx context.Context, c *client.Client, p config.Path, patch client.ScopePatch) (any, error) {
		return c.UpdateTenant(ctx, p.Tenant, patch)
	})
	return group("tenant", "Manage tenants", create, ls, get, set, a.rmScope("rm TENANT", "Delete a tenant that has no apps", config.LevelTenant),
		a.tenantExport(), a.tenantImport())
}

func (a *app) appCommand() *cobra.Command {
	var description string
	create := a.command("create TENANT/APP", "Make an app", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		p, err := pathArg(args[0], config.LevelApp)
		if err != nil {
			return err
		}
		v, err := c.CreateApp(ctx, config.App{Tenant: p.Tenant, Name: p.App, Description: description})
		if err != nil {
			return err
		}
		return a.done(v, "created app %s", v.Path())
	})
	create.Flags().StringVarP(&description, "description", "d", "", "what it is for")
	ls := a.command("ls TENANT", "List the apps of a tenant", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		p, err := pathArg(args[0], config.LevelTenant)
		if err != nil {
			return err
		}
		return a.lsApps(ctx, c, p.Tenant)
	})
	get := a.command("get TENANT/APP", "Show an app", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		p, err := pathArg(args[0], config.LevelApp)
		if err != nil {
			return err
		}
		v, err := c.App(ctx, p)
		if err != nil {
			return err
		}
		return a.show(v, facts("app", v.Path().String(), "description", dash(v.Description), "created", when(v.CreatedAt)+" by "+v.CreatedBy))
	})
	set := a.setScope("set TENANT/APP", "Change an app", config.LevelApp, func(ctx context.Context, c *client.Client, p config.Path, patch client.ScopePatch) (any, error) {
		return c.UpdateApp(ctx, p, patch)
	})
	return group("app", "Manage apps", create, ls, get, set, a.rmScope("rm TENANT/APP", "Delete an app that has no envs", config.LevelApp))
}

func (a *app) envCommand() *cobra.Command {
	ls := a.command("ls TENANT/APP", "List the envs of an app in promotion order", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		p, err := pathArg(args[0], config.LevelApp)
		if err != nil {
			return err
		}
		return a.lsEnvs(ctx, c, p)
	})
	get := a.command("get TENANT/APP/ENV", "Show an env", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		p, err := pathArg(args[0], config.LevelEnv)
		if err != nil {
			return err
		}
		e, err := c.Env(ctx, p)
		if err != nil {
			return err
		}
		return a.show(e, facts(append([]string{
			"env", e.Path().String(), "kind", string(e.Kind), "protected", yesNo(e.Protected), "order", strconv.Itoa(e.Order),
			"description", dash(e.Description), "created", when(e.CreatedAt) + " by " + e.CreatedBy,
		}, freezeFacts(&e, time.Now())...)...))
	})
	set := a.setScope("set TENANT/APP/ENV", "Change an env", config.LevelEnv, func(ctx context.Context, c *client.Client, p config.Path, patch client.ScopePatch) (any, error) {
		return c.UpdateEnv(ctx, p, patch)
	})
	return group("env", "Manage envs", a.envCreate(), ls, get, set, a.envFreeze(), a.envUnfreeze(),
		a.rmScope("rm TENANT/APP/ENV", "Delete an env that has no configs", config.LevelEnv))
}

func (a *app) envCreate() *cobra.Command {
	var e config.Env
	var kind string
	cmd := a.command("create TENANT/APP/ENV", "Make an env", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		p, err := pathArg(args[0], config.LevelEnv)
		if err != nil {
			return err
		}
		e.Tenant, e.App, e.Name, e.Kind = p.Tenant, p.App, p.Env, config.EnvKind(kind)
		made, err := c.CreateEnv(ctx, e)
		if err != nil {
			return err
		}
		return a.done(made, "created env %s", made.Path())
	})
	cmd.Flags().StringVar(&kind, "kind", "", "dev, test, prod, or a `WORD` of your own; by the name if not given")
	cmd.Flags().StringVarP(&e.Description, "description", "d", "", "what it is for")
	cmd.Flags().BoolVar(&e.Protected, "protected", false, "refuse deletion, and want a comment on every publish")
	cmd.Flags().IntVar(&e.Order, "order", 0, "its place in the promotion order; last if not given")
	return cmd
}

type updateScope func(context.Context, *client.Client, config.Path, client.ScopePatch) (any, error)

// setScope makes a command that changes a tenant, an app or an env. Flags that
// are not given change nothing.
func (a *app) setScope(use, short string, level config.Level, update updateScope) *cobra.Command {
	var description, kind string
	var protected bool
	var order int
	var cmd *cobra.Command
	cmd = a.command(use, short, cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		p, err := pathArg(args[0], level)
		if err != nil {
			return err
		}
		var patch client.ScopePatch
		given := cmd.Flags().Changed
		if given("description") {
			patch.Description = &description
		}
		if given("kind") {
			patch.Kind = (*config.EnvKind)(&kind)
		}
		if given("protected") {
			patch.Protected = &protected
		}
		if given("order") {
			patch.Order = &order
		}
		if patch == (client.ScopePatch{}) {
			return usagef("nothing to change: give at least one flag")
		}
		v, err := update(ctx, c, p, patch)
		if err != nil {
			return err
		}
		return a.done(v, "changed %s", p)
	})
	cmd.Flags().StringVarP(&description, "description", "d", "", "what it is for")
	if level == config.LevelEnv {
		cmd.Flags().StringVar(&kind, "kind", "", "dev, test, prod, or a `WORD` of your own")
		cmd.Flags().BoolVar(&protected, "protected", false, "refuse deletion, and want a comment on every publish")
		cmd.Flags().IntVar(&order, "order", 0, "its place in the promotion order")
	}
	return cmd
}

func (a *app) rmScope(use, short string, level config.Level) *cobra.Command {
	return a.command(use, short, cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		p, err := pathArg(args[0], level)
		if err != nil {
			return err
		}
		if err := c.DeleteScope(ctx, p, ""); err != nil {
			return err
		}
		return a.done(map[string]any{"deleted": p}, "deleted %s", p)
	})
}

// facts makes a table of names and values.
func facts(pairs ...string) table {
	var t table
	for i := 0; i+1 < len(pairs); i += 2 {
		t.add(pairs[i], pairs[i+1])
	}
	return t
}
