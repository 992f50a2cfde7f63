package cli

import (
	"cmp"
	"context"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/backup"
)

func (a *app) backup() *cobra.Command {
	var force bool
	cmd := a.command("backup [FILE|DIR|-]", "Write a backup of the whole installation to a file", cobra.MaximumNArgs(1),
		func(ctx context.Context, c *client.Client, args []string) error {
			to := "."
			if len(args) == 1 {
				to = args[0]
			}
			if to == "-" {
				return a.backupToStdout(ctx, c)
			}
			return a.backupToFile(ctx, c, to, force)
		})
	cmd.Long = "Write a backup of the whole installation to a file: everything, as of one revision, while the\n" +
		"server goes on serving. Without a name, or in a directory, the file is called by installation\n" +
		"and time; with - it goes to standard output.\n\n" +
		"The file has its name only once all of it is on disk and its digest was checked. It holds\n" +
		"password hashes: keep it safe. It does not hold the nodes' own files: settings, certificates,\n" +
		"and the key of the cluster's authority.\n\n" +
		"'setpoint backup verify' looks at every record in it, 'setpoint restore' makes an installation\n" +
		"of it. The setting backup.every has the server make backups by itself."
	cmd.ValidArgsFunction = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
	cmd.Flags().BoolVar(&force, "force", false, "overwrite a file that is there")
	return cmd
}

func (a *app) backupToStdout(ctx context.Context, c *client.Client) error {
	if _, tty := terminal(a.env.Stdout); tty {
		return usagef("a backup is no text for a terminal: name a file, or redirect the output")
	}
	info, err := c.Backup(ctx, a.env.Stdout)
	if err == nil {
		a.note("backed up installation %s: %s, revision %d", info.Installation, size(info.Size), info.Revision)
	}
	return err
}

func (a *app) backupToFile(ctx context.Context, c *client.Client, to string, force bool) (err error) {
	dir, name := filepath.Split(filepath.Clean(to))
	if found, err := os.Stat(to); err == nil && found.IsDir() {
		dir, name = to, ""
	}
	free := func(file string) error {
		if _, err := os.Lstat(file); err == nil && !force {
			return config.Errorf(config.Exists, "backup", file, "the file is there already; --force overwrites it")
		}
		return nil
	}
	if name != "" {
		if err := free(to); err != nil { // before anything is asked of the server
			return err
		}
	}
	out, err := backup.Create(filepath.Join(dir, cmp.Or(name, "setpoint.backup")))
	if err != nil {
		return err
	}
	defer out.Close()
	info, err := c.Backup(ctx, out)
	if err != nil {
		return err
	}
	if name == "" {
		to = filepath.Join(dir, info.FileName())
		if err := free(to); err != nil {
			return err
		}
	}
	if err := out.CommitAs(to); err != nil {
		return err
	}
	result := struct {
		File string `json:"file"`
		client.BackupInfo
	}{to, info}
	return a.done(result, "backed up installation %s to %s: %s, revision %d", info.Installation, to, size(info.Size), info.Revision)
}
