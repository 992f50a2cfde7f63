package cli

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// A change set is one request and one transaction: neither may grow without end.
const (
	batchFiles = 500
	batchBytes = maxFile
)

type importFlags struct {
	dryRun, prune bool
	message       string
	exclude       []string // patterns of path.Match
	release       releaseFlags
	options       client.ReleaseOptions // by release
}

func (a *app) importCommand() *cobra.Command {
	var f importFlags
	cmd := a.command("import ENV DIR|ARCHIVE", "Release the files of a directory or an archive in an env", cobra.ExactArgs(2),
		func(ctx context.Context, c *client.Client, args []string) error {
			env, err := pathArg(args[0], config.LevelEnv)
			if err != nil {
				return err
			}
			if f.options, err = a.releaseOptions(&f.release); err != nil {
				return err
			}
			i := &importing{app: a, c: c, env: env, flags: f, source: source{name: args[1]}}
			return i.run(ctx)
		})
	cmd.Long = fmt.Sprintf("Release the files of a directory, a .zip or a .tar.gz in an env.\n\n"+
		"A file becomes the config of its path, with '-' for '/': rules/node.yml is rules-node.yml; export puts it\n"+
		"back where it was. Files that are served already as they are make no release. Links and version control\n"+
		"folders are skipped. Up to %d files and %s are one atomic change set; more are sent as several.\n\n", batchFiles, size(batchBytes)) + releaseHelp
	cmd.ValidArgsFunction = a.completeFirst
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "only tell what would be released")
	cmd.Flags().BoolVar(&f.prune, "prune", false, "delete the env's configs that are not among the files")
	cmd.Flags().StringSliceVar(&f.exclude, "exclude", nil, "leave out files like `GLOB`, by name or by path; may be given again")
	cmd.Flags().StringVarP(&f.message, "message", "m", "", "why: kept with the releases")
	f.release.register(cmd)
	return cmd
}

// importing is one run of import.
type importing struct {
	app    *app
	c      *client.Client
	env    config.Path
	flags  importFlags
	source source

	names map[string]string // config name → file
	size  int64             // of all files, bytes
	total importResult
	sent  int // change sets
}

// importResult is what an import did, over all of its change sets.
type importResult struct {
	Created    int                `json:"created"`
	Changed    int                `json:"changed"`
	Unchanged  int                `json:"unchanged"`
	Pruned     int                `json:"pruned"`
	ChangeSets []config.ChangeSet `json:"change_sets"`
}

func (i *importing) run(ctx context.Context) error {
	i.source.skipped = func(name, why string) { i.app.note("skipped %s: %s", name, why) }
	if err := i.plan(); err != nil {
		return err
	}
	i.source.skipped = nil // said once is enough
	i.total.ChangeSets = []config.ChangeSet{}
	stale, err := i.stale(ctx)
	if err != nil {
		return err
	}
	// One change set can drop what is left over as well; with several it is
	// dropped when all of them are in.
	whole := len(i.names)+len(stale) <= batchFiles && i.size <= batchBytes
	if launches(i.flags.options) && !whole {
		return config.Errorf(config.TooLarge, "import", i.source.name, "%d files of %s are more than one change set, and a launch is of one; import fewer at a time, or for everybody", len(i.names), size(i.size))
	}
	if err := i.sendAll(ctx, whole && i.flags.prune); err != nil {
		return err
	}
	if !whole {
		if err := i.prune(ctx, stale); err != nil {
			return err
		}
	}
	return i.report(stale)
}

// files walks what is to be imported.
func (i *importing) files() iter.Seq2[file, error] {
	return func(yield func(file, error) bool) {
		for f, err := range i.source.files() {
			out, badGlob := matchAny(i.flags.exclude, f.name)
			if badGlob != nil {
				yield(f, badGlob)
				return
			}
			if err == nil && out {
				continue
			}
			if !yield(f, err) {
				return
			}
		}
	}
}

// matchAny reports whether a glob matches the path or its last part.
func matchAny(globs []string, name string) (bool, error) {
	for _, glob := range globs {
		for _, text := range []string{name, path.Base(name)} {
			if ok, err := path.Match(glob, text); ok || err != nil {
				return ok, err
			}
		}
	}
	return false, nil
}

// plan walks the source once without reading: names must be clear and sizes
// possible before anything is sent.
func (i *importing) plan() error {
	i.names = map[string]string{}
	for f, err := range i.files() {
		if err != nil {
			return err
		}
		name, err := config.NameForFile(f.name)
		if err != nil {
			return err
		}
		if other, taken := i.names[name]; taken {
			return config.Errorf(config.Invalid, "import", i.source.name, "%q and %q would both be the config %s; rename one of them", other, f.name, name)
		}
		if f.size > maxFile {
			return config.Errorf(config.TooLarge, "import", f.name, "%s is more than %s", size(f.size), size(maxFile))
		}
		i.names[name] = f.name
		i.size += f.size
	}
	if len(i.names) == 0 {
		return config.Errorf(config.Invalid, "import", i.source.name, "there are no files in it")
	}
	return nil
}

// stale lists the configs that no file stands for.
func (i *importing) stale(ctx context.Context) ([]string, error) {
	if !i.flags.prune {
		return nil, nil
	}
	var stale []string
	for state, err := range i.c.Configs(ctx, i.env, client.ConfigFilter{}) {
		if err != nil {
			return nil, err
		}
		if _, kept := i.names[state.Path.Name]; !kept {
			stale = append(stale, state.Path.Name)
		}
	}
	slices.Sort(stale)
	return stale, nil
}

// batch is an archive in the making.
type batch struct {
	buf   bytes.Buffer
	zip   *zip.Writer
	files int
	bytes int
}

func newBatch() *batch {
	b := &batch{}
	b.zip = zip.NewWriter(&b.buf)
	return b
}

func (b *batch) add(name string, content []byte) error {
	w, err := b.zip.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, NonUTF8: false})
	if err != nil {
		return err
	}
	b.files++
	b.bytes += len(content)
	_, err = w.Write(content)
	return err
}

func (b *batch) full(next int) bool {
	return b.files > 0 && (b.files >= batchFiles || b.bytes+next > batchBytes)
}

func (i *importing) sendAll(ctx context.Context, prune bool) error {
	bar := i.app.newProgress("files", len(i.names))
	defer bar.clear()
	b := newBatch()
	for f, err := range i.files() {
		if err != nil {
			return err
		}
		content, err := f.read()
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		if b.full(len(content)) {
			if err := i.send(ctx, b, false); err != nil {
				return err
			}
			bar.add(b.files)
			b = newBatch()
		}
		if err := b.add(f.name, content); err != nil {
			return err
		}
	}
	if b.files == 0 {
		return nil
	}
	return i.send(ctx, b, prune)
}

func (i *importing) send(ctx context.Context, b *batch, prune bool) error {
	if err := b.zip.Close(); err != nil {
		return err
	}
	done, err := i.c.Import(ctx, client.Import{
		Env: i.env, Archive: &b.buf, Format: client.Zip, Comment: i.flags.message, DryRun: i.flags.dryRun, Prune: prune, ReleaseOptions: i.flags.options,
	})
	if err != nil {
		err = i.hint(ctx, err)
		if i.sent > 0 && !i.flags.dryRun {
			i.app.warn("%s of this import went in before this error; run it again when it is mended", count(i.sent, "change set"))
		}
		return err
	}
	i.sent++
	i.total.Created += done.Created
	i.total.Changed += done.Changed
	i.total.Unchanged += done.Unchanged
	i.total.Pruned += done.Pruned
	i.total.ChangeSets = append(i.total.ChangeSets, done.ChangeSet)
	return nil
}

// hint says how to go on after an import was refused.
func (i *importing) hint(ctx context.Context, err error) error {
	path := i.env
	var e *config.Error
	if errors.As(err, &e) {
		if at, problem := config.ParsePath(e.Path); problem == nil && i.env.Contains(at) {
			path = at
		}
	}
	return hintRelease(ctx, i.c, i.flags.options, []config.Path{path}, err)
}

func (i *importing) prune(ctx context.Context, stale []string) error {
	for _, name := range stale {
		if !i.flags.dryRun {
			d := client.DeleteConfig{Path: i.env.Join(name), Comment: i.flags.message, OverrideFreeze: i.flags.options.OverrideFreeze}
			if err := i.c.DeleteConfig(ctx, d); err != nil && config.KindOf(err) != config.NotFound {
				return err
			}
		}
		i.total.Pruned++
	}
	return nil
}

func (i *importing) report(stale []string) error {
	for _, name := range stale {
		i.app.note("not among the files: %s", i.env.Join(name))
	}
	verb := "imported"
	if i.flags.dryRun {
		verb = "would import"
	}
	lines := []string{fmt.Sprintf("%s %s into %s: %d created, %d changed, %d unchanged, %d deleted, in %s",
		verb, count(len(i.names), "file"), i.env, i.total.Created, i.total.Changed, i.total.Unchanged, i.total.Pruned, count(i.sent, "change set"))}
	for _, set := range i.total.ChangeSets {
		lines = append(lines, i.app.launched(set)...)
	}
	return i.app.done(i.total, "%s", strings.Join(lines, "\n"))
}
