package cli

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

func (a *app) get() *cobra.Command {
	var version int64
	var strong bool
	cmd := a.command("get PATH", "Print what is released: the exact bytes of a config, or the list of an env", cobra.ExactArgs(1),
		func(ctx context.Context, c *client.Client, args []string) error {
			path, err := config.ParsePath(args[0])
			if err != nil {
				return err
			}
			switch path.Level() {
			case config.LevelConfig:
				return a.getConfig(ctx, c, path, version, strong)
			case config.LevelEnv:
				return a.getEnv(ctx, c, path, strong)
			default:
				return usagef("get wants the path of a config or an env; 'setpoint ls %s' lists what is there", args[0])
			}
		})
	cmd.Flags().Int64Var(&version, "version", 0, "this release `N` rather than the one that is served")
	cmd.Flags().BoolVar(&strong, "strong", false, "read what is newest in the whole cluster, at the cost of a round trip")
	return cmd
}

func (a *app) getConfig(ctx context.Context, c *client.Client, path config.Path, version int64, strong bool) error {
	if version == 0 && a.raw() {
		served, err := c.Get(ctx, path, client.ReadOptions{Strong: strong})
		if err != nil {
			return err
		}
		a.warnStale(served.Stale)
		_, err = a.env.Stdout.Write(served.Content)
		return err
	}
	if version == 0 {
		served, err := c.Get(ctx, path, client.ReadOptions{Strong: strong})
		if err != nil {
			return err
		}
		a.warnStale(served.Stale)
		version = served.Version
	}
	release, err := c.Release(ctx, path, version)
	if err != nil {
		return err
	}
	if a.raw() {
		_, err = a.env.Stdout.Write(release.Content)
		return err
	}
	return a.encode(release)
}

// warnStale says that an answer came from a node that is cut off.
func (a *app) warnStale(stale time.Duration) {
	if stale > 0 {
		a.warn("the node that answered has been cut off from the others for %s; this may be old", stale)
	}
}

// raw says that the output is content as it is: what get does unless told.
func (a *app) raw() bool { return a.flags.output == "raw" || a.flags.output == "table" }

func (a *app) getEnv(ctx context.Context, c *client.Client, env config.Path, strong bool) error {
	snapshot, err := c.Snapshot(ctx, env, client.ReadOptions{Strong: strong})
	if err != nil {
		return err
	}
	a.warnStale(snapshot.Stale)
	t := table{header: []string{"NAME", "VERSION", "FORMAT", "SIZE", "DIGEST", "RELEASED"}}
	for _, r := range snapshot.Configs {
		t.add(r.Path.Name, strconv.FormatInt(r.Version, 10), r.Format, size(r.Size), short(r.Digest), when(r.Time))
	}
	return a.show(snapshot, t)
}

func (a *app) ls() *cobra.Command {
	var deleted bool
	var prefix string
	cmd := a.command("ls [PATH]", "List tenants, apps, envs or configs, by the depth of the path", cobra.MaximumNArgs(1),
		func(ctx context.Context, c *client.Client, args []string) error {
			var path config.Path
			if len(args) == 1 {
				var err error
				if path, err = config.ParsePath(args[0]); err != nil {
					return err
				}
			}
			switch path.Level() {
			case config.LevelRoot:
				return a.lsTenants(ctx, c)
			case config.LevelTenant:
				return a.lsApps(ctx, c, path.Tenant)
			case config.LevelApp:
				return a.lsEnvs(ctx, c, path)
			case config.LevelEnv:
				return a.lsConfigs(ctx, c, path, client.ConfigFilter{Prefix: prefix, Deleted: deleted})
			default:
				return a.lsConfig(ctx, c, path)
			}
		})
	cmd.Flags().BoolVar(&deleted, "deleted", false, "deleted configs too")
	cmd.Flags().StringVar(&prefix, "prefix", "", "only configs whose names begin with `TEXT`")
	return cmd
}

func (a *app) lsTenants(ctx context.Context, c *client.Client) error {
	all, err := collect(c.Tenants(ctx), 0)
	if err != nil {
		return err
	}
	t := table{header: []string{"TENANT", "CREATED", "BY", "DESCRIPTION"}}
	for _, v := range all {
		t.add(v.Name, when(v.CreatedAt), v.CreatedBy, v.Description)
	}
	return a.show(all, t)
}

func (a *app) lsApps(ctx context.Context, c *client.Client, tenant string) error {
	all, err := collect(c.Apps(ctx, tenant), 0)
	if err != nil {
		return err
	}
	t := table{header: []string{"APP", "CREATED", "BY", "DESCRIPTION"}}
	for _, v := range all {
		t.add(v.Path().String(), when(v.CreatedAt), v.CreatedBy, v.Description)
	}
	return a.show(all, t)
}

func (a *app) lsEnvs(ctx context.Context, c *client.Client, app config.Path) error {
	all, err := collect(c.Envs(ctx, app), 0)
	if err != nil {
		return err
	}
	t := table{header: []string{"ENV", "KIND", "PROTECTED", "FROZEN", "ORDER", "DESCRIPTION"}}
	now := time.Now()
	for _, v := range all {
		_, _, frozen := v.Frozen(now)
		t.add(v.Path().String(), string(v.Kind), yesNo(v.Protected), yesNo(frozen), strconv.Itoa(v.Order), v.Description)
	}
	return a.show(all, t)
}

func (a *app) lsConfigs(ctx context.Context, c *client.Client, env config.Path, f client.ConfigFilter) error {
	all, err := collect(c.Configs(ctx, env, f), 0)
	if err != nil {
		return err
	}
	t := table{header: []string{"NAME", "VERSION", "FORMAT", "SIZE", "DRAFT", "RELEASED", "BY"}}
	for _, s := range all {
		version, bytes, released, by := released(s)
		t.add(s.Path.Name, version, dash(s.Format), bytes, yesNo(s.HasDraft), released, by)
	}
	return a.show(all, t)
}

// released renders what is released of a config.
func released(s config.State) (version, bytes, at, by string) {
	switch r := s.Rollout.Stable; {
	case s.Rollout.Deleted:
		return "deleted", "-", when(s.Rollout.DeletedAt), dash(s.Rollout.DeletedBy)
	case r == nil:
		return "-", "-", "-", "-"
	default:
		return strconv.FormatInt(r.Version, 10), size(r.Size), when(r.Time), r.Author
	}
}

func (a *app) lsConfig(ctx context.Context, c *client.Client, path config.Path) error {
	s, err := c.Config(ctx, path)
	if err != nil {
		return err
	}
	version, bytes, at, by := released(s)
	t := table{}
	for _, row := range [][]string{
		{"path", s.Path.String()}, {"file", s.FileName()}, {"format", dash(s.Format)}, {"description", dash(s.Description)},
		{"version", version}, {"size", bytes}, {"released", fmt.Sprintf("%s by %s", at, by)},
		{"draft", yesNo(s.HasDraft)}, {"created", fmt.Sprintf("%s by %s", when(s.CreatedAt), s.CreatedBy)},
	} {
		t.add(row...)
	}
	return a.show(s, t)
}
