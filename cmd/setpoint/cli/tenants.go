package cli

import (
	"cmp"
	"context"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/backup"
)

func (a *app) tenantExport() *cobra.Command {
	var force bool
	cmd := a.command("export TENANT [FILE|-]", "Write a tenant with its whole history to a file", cobra.RangeArgs(1, 2),
		func(ctx context.Context, c *client.Client, args []string) error {
			p, err := pathArg(args[0], config.LevelTenant)
			if err != nil {
				return err
			}
			to := p.Tenant + ".tenant"
			if len(args) == 2 {
				to = args[1]
			}
			if to == "-" {
				return a.tenantToStdout(ctx, c, p.Tenant)
			}
			return a.tenantToFile(ctx, c, p.Tenant, to, force)
		})
	cmd.Long = "Write a tenant with its whole history to a file, as of one revision, while the server goes on\n" +
		"serving: apps, envs, configs with metadata, drafts, every release that is kept, rollouts under\n" +
		"way and ended, and the audit records. Without a name the file is called TENANT.tenant; with - it\n" +
		"goes to standard output.\n\n" +
		"'setpoint tenant import' makes a tenant of it, in this installation or another. Users, tokens\n" +
		"and bindings are not part of it. The file has its name only once all of it is on disk and its\n" +
		"digest was checked. It holds every content there is: keep it safe."
	cmd.ValidArgsFunction = a.completeFirst
	cmd.Flags().BoolVar(&force, "force", false, "overwrite a file that is there")
	return cmd
}

func (a *app) tenantToStdout(ctx context.Context, c *client.Client, tenant string) error {
	if _, tty := terminal(a.env.Stdout); tty {
		return usagef("an export is no text for a terminal: name a file, or redirect the output")
	}
	info, err := c.ExportTenant(ctx, tenant, a.env.Stdout)
	if err == nil {
		a.note("exported tenant %s of installation %s: %s", tenant, info.Installation, size(info.Size))
	}
	return err
}

func (a *app) tenantToFile(ctx context.Context, c *client.Client, tenant, to string, force bool) error {
	if _, err := os.Lstat(to); err == nil && !force { // before anything is asked of the server
		return config.Errorf(config.Exists, "export", to, "the file is there already; --force overwrites it")
	}
	out, err := backup.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	info, err := c.ExportTenant(ctx, tenant, out)
	if err != nil {
		return err
	}
	if err := out.Commit(); err != nil {
		return err
	}
	result := struct {
		File string `json:"file"`
		client.TenantExport
	}{to, info}
	return a.done(result, "exported tenant %s to %s: %s", tenant, to, size(info.Size))
}

func (a *app) tenantImport() *cobra.Command {
	var in client.ImportTenant
	cmd := a.command("import FILE|-", "Make a tenant of an export, with its whole history", cobra.ExactArgs(1),
		func(ctx context.Context, c *client.Client, args []string) error {
			file, err := a.openInput(args[0])
			if err != nil {
				return err
			}
			defer file.Close()
			in.Export = file
			return a.importTenant(ctx, c, in)
		})
	cmd.Long = "Make a tenant of what 'setpoint tenant export' wrote, here or in another installation: whole or\n" +
		"not at all. Versions, times and authors stay what they were. The audit records come along as\n" +
		"history: they are written as of now and tell where and when they were made. Rollouts that ran\n" +
		"arrive paused, and scheduled ones whose time has passed are aborted: nothing goes on by itself.\n\n" +
		"The tenant is there once all of it is. An import that was broken off can be repeated, or what\n" +
		"there is removed with 'setpoint tenant rm'. Nobody but the installation's administrators has a\n" +
		"right to the new tenant: 'setpoint binding create' gives it."
	cmd.ValidArgsFunction = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
	cmd.Flags().StringVar(&in.As, "as", "", "the `NAME` that the tenant gets; the one that it had if not given")
	cmd.Flags().BoolVar(&in.Discard, "discard", false, "remove for good the history that a deleted tenant of the name has left")
	return cmd
}

// openInput opens a file, or standard input for "-".
func (a *app) openInput(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(a.env.Stdin), nil
	}
	return os.Open(name)
}

func (a *app) importTenant(ctx context.Context, c *client.Client, in client.ImportTenant) error {
	done, err := c.ImportTenant(ctx, in)
	if err != nil {
		return err
	}
	n := done.Contents
	what := []string{count(int(n.Configs), "config"), count(int(n.Releases), "release"), count(int(n.Drafts), "draft"), count(int(n.AuditRecords), "audit record")}
	if n.Launches > 0 {
		what = append(what, count(int(n.Launches), "rollout"))
	}
	return a.done(done, "imported tenant %s from installation %s: %s", cmp.Or(done.Tenant.Name, in.As), done.Installation, strings.Join(what, ", "))
}
