package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

type exportFlags struct {
	force bool
	names []string
}

func (a *app) export() *cobra.Command {
	var f exportFlags
	cmd := a.command("export ENV DIR|ARCHIVE", "Write what an env serves to a directory, a .zip or a .tar.gz, byte for byte", cobra.ExactArgs(2),
		func(ctx context.Context, c *client.Client, args []string) error {
			env, err := pathArg(args[0], config.LevelEnv)
			if err != nil {
				return err
			}
			if isZip(args[1]) || isTarGz(args[1]) {
				return a.exportArchive(ctx, c, env, args[1], f)
			}
			return a.exportDir(ctx, c, env, args[1], f)
		})
	cmd.Long = "Write what an env serves to a directory, a .zip or a .tar.gz, byte for byte.\n\n" +
		"Files that are there already and differ stop it before anything is written, unless --force is given.\n" +
		"Files that are not exported are left alone."
	cmd.ValidArgsFunction = a.completeFirst
	cmd.Flags().BoolVar(&f.force, "force", false, "overwrite files that differ")
	cmd.Flags().StringSliceVar(&f.names, "name", nil, "only the config `NAME`; may be given again")
	return cmd
}

func (a *app) exportArchive(ctx context.Context, c *client.Client, env config.Path, name string, f exportFlags) error {
	format := client.Zip
	if isTarGz(name) {
		format = client.TarGz
	}
	if _, err := os.Lstat(name); err == nil && !f.force {
		return config.Errorf(config.Exists, "export", name, "the file is there already; --force overwrites it")
	}
	tmp, err := download(ctx, c, client.Export{Env: env, Format: format, Names: f.names}, filepath.Dir(name))
	if err != nil {
		return err
	}
	defer discard(tmp)
	if err := os.Rename(tmp, name); err != nil {
		return err
	}
	return a.done(map[string]any{"env": env, "archive": name}, "exported %s to %s", env, name)
}

// download fetches an archive into a new file in dir, which the caller removes.
func download(ctx context.Context, c *client.Client, e client.Export, dir string) (name string, err error) {
	tmp, err := os.CreateTemp(dir, ".setpoint-*."+string(e.Format))
	if err != nil {
		return "", err
	}
	defer func() {
		if err = errors.Join(err, tmp.Close()); err != nil {
			discard(tmp.Name())
		}
	}()
	return tmp.Name(), c.Export(ctx, e, tmp)
}

// exportResult is what an export to a directory wrote.
type exportResult struct {
	Written   int `json:"written"`
	Unchanged int `json:"unchanged"`
}

func (a *app) exportDir(ctx context.Context, c *client.Client, env config.Path, dir string, f exportFlags) error {
	tmp, err := download(ctx, c, client.Export{Env: env, Format: client.Zip, Names: f.names}, "")
	if err != nil {
		return err
	}
	defer discard(tmp)
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // a directory as any other; the umask narrows it
		return err
	}
	// Whatever the archive says, nothing can be written outside of the root.
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	archive := source{name: tmp}
	changed, err := a.compare(root, archive, f.force)
	if err != nil {
		return err
	}
	done := exportResult{}
	bar := a.newProgress("files", len(changed))
	defer bar.clear()
	for entry, err := range archive.files() {
		if err != nil {
			return err
		}
		if !changed[entry.name] {
			done.Unchanged++
			continue
		}
		if err := writeInto(root, entry); err != nil {
			return err
		}
		done.Written++
		bar.add(1)
	}
	bar.clear()
	return a.done(done, "exported %s to %s: %s written, %d already there", env, dir, count(done.Written, "file"), done.Unchanged)
}

// compare finds the files to write. It refuses, before anything is written, if
// that would overwrite something.
func (a *app) compare(root *os.Root, archive source, force bool) (map[string]bool, error) {
	changed := map[string]bool{}
	var differ []string
	for entry, err := range archive.files() {
		if err != nil {
			return nil, err
		}
		if err := config.ValidateFile(entry.name); err != nil {
			return nil, err
		}
		content, err := entry.read()
		if err != nil {
			return nil, err
		}
		there, err := root.ReadFile(filepath.FromSlash(entry.name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			changed[entry.name] = true
		case err != nil:
			return nil, err
		case !bytes.Equal(there, content):
			changed[entry.name] = true
			differ = append(differ, entry.name)
		}
	}
	if len(differ) == 0 || force {
		return changed, nil
	}
	for _, name := range differ[:min(len(differ), 10)] {
		a.note("differs: %s", name)
	}
	return nil, config.Errorf(config.Exists, "export", root.Name(), "%s there already with other content; nothing was written; --force overwrites", areFiles(len(differ)))
}

func areFiles(n int) string {
	if n == 1 {
		return "1 file is"
	}
	return count(n, "file") + " are"
}

// writeInto replaces one file in one step, so that nobody reads half of it.
func writeInto(root *os.Root, entry file) error {
	r, err := entry.open()
	if err != nil {
		return err
	}
	defer r.Close()
	name := filepath.FromSlash(entry.name)
	if err := root.MkdirAll(filepath.FromSlash(path.Dir(entry.name)), 0o755); err != nil {
		return err
	}
	tmp := name + ".setpoint-tmp"
	_ = root.Remove(tmp) // of a run that was cut off
	f, err := root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, io.LimitReader(r, maxFile))
	if err = errors.Join(err, f.Close()); err == nil {
		err = root.Rename(tmp, name)
	}
	if err != nil {
		_ = root.Remove(tmp)
	}
	return err
}
