package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

type diffFlags struct{ from, to, file string }

func (a *app) diff() *cobra.Command {
	var f diffFlags
	cmd := a.command("diff PATH [PATH2]", "Compare two contents; the exit code is 1 if they differ", cobra.RangeArgs(1, 2),
		func(ctx context.Context, c *client.Client, args []string) error {
			path, err := pathArg(args[0], config.LevelConfig)
			if err != nil {
				return err
			}
			switch {
			case f.file != "" && (len(args) == 2 || f.to != ""):
				return usagef("-f FILE is what PATH is compared to: give no other")
			case len(args) == 2 && f.to != "":
				return usagef("give either PATH2 or --to, not both")
			case f.file != "":
				return a.diffFile(ctx, c, path, f)
			case len(args) == 2:
				f.from, f.to = orElse(f.from, "released"), "path:"+strings.Trim(args[1], "/")
			}
			d, err := c.Diff(ctx, path, versionRef(f.from), versionRef(f.to))
			if err != nil {
				return err
			}
			return a.showDiff(d)
		})
	cmd.Long = "Compare two contents of a config: what is released with the draft, unless told otherwise.\n\n" +
		"--from and --to take a version number, released, draft, env:NAME or path:TENANT/APP/ENV/NAME.\n" +
		"With PATH2 what is released of both is compared, with -f what is released with a file.\n" +
		"The exit code is 0 if both are equal and 1 if they differ."
	cmd.Flags().StringVar(&f.from, "from", "", "the `SIDE` to compare from (default released)")
	cmd.Flags().StringVar(&f.to, "to", "", "the `SIDE` to compare to (default draft)")
	cmd.Flags().StringVarP(&f.file, "file", "f", "", "compare to this `FILE`; - for standard input")
	return cmd
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// versionRef allows "v3" for 3, as tables show it.
func versionRef(s string) string {
	if digits, ok := strings.CutPrefix(s, "v"); ok {
		if _, err := strconv.ParseUint(digits, 10, 63); err == nil {
			return digits
		}
	}
	return s
}

// diffFile compares with a file that the server never sees.
func (a *app) diffFile(ctx context.Context, c *client.Client, path config.Path, f diffFlags) error {
	theirs, err := side(ctx, c, path, versionRef(f.from))
	if err != nil {
		return err
	}
	ours, err := a.readInput(f.file)
	if err != nil {
		return err
	}
	from := fmt.Sprintf("%s@%s", path, orElse(f.from, "released"))
	text := string(diff.Diff(from, theirs, f.file, ours))
	// The library begins with a line of its own that diff -u does not have.
	if first, rest, ok := strings.Cut(text, "\n"); ok && strings.HasPrefix(first, "diff ") {
		text = rest
	}
	return a.showDiff(client.Diff{From: client.DiffSide{Path: path}, Unified: text, Equal: text == ""})
}

// side fetches one content to compare.
func side(ctx context.Context, c *client.Client, path config.Path, ref string) ([]byte, error) {
	switch ref {
	case "", "released":
		served, err := c.Get(ctx, path, client.ReadOptions{})
		return served.Content, err
	case "draft":
		d, err := c.Draft(ctx, path)
		return d.Content, err
	}
	version, err := strconv.ParseInt(ref, 10, 64)
	if err != nil {
		return nil, usagef("--from %s: with -f, want a version number, released or draft", ref)
	}
	r, err := c.Release(ctx, path, version)
	return r.Content, err
}

func (a *app) showDiff(d client.Diff) error {
	if a.flags.output == "json" || a.flags.output == "yaml" {
		if err := a.encode(d); err != nil {
			return err
		}
	} else {
		text := d.Unified
		if _, tty := terminal(a.env.Stdout); tty {
			text = clean(text)
		}
		if a.colors() {
			text = colored(text)
		}
		fmt.Fprint(a.env.Stdout, text)
	}
	if !d.Equal {
		return exitError(exitFailure)
	}
	return nil
}

// colored paints a unified diff for a terminal.
func colored(unified string) string {
	const red, green, cyan, bold, reset = "\x1b[31m", "\x1b[32m", "\x1b[36m", "\x1b[1m", "\x1b[0m"
	var b strings.Builder
	for line := range strings.Lines(unified) {
		text, end := strings.TrimSuffix(line, "\n"), line[len(strings.TrimSuffix(line, "\n")):]
		color := ""
		switch {
		case strings.HasPrefix(text, "--- "), strings.HasPrefix(text, "+++ "):
			color = bold
		case strings.HasPrefix(text, "@@"):
			color = cyan
		case strings.HasPrefix(text, "-"):
			color = red
		case strings.HasPrefix(text, "+"):
			color = green
		}
		if color != "" {
			text = color + text + reset
		}
		b.WriteString(text + end)
	}
	return b.String()
}

func (a *app) history() *cobra.Command {
	var limit int
	cmd := a.command("history PATH", "List a config's releases, newest first", cobra.ExactArgs(1),
		func(ctx context.Context, c *client.Client, args []string) error {
			path, err := pathArg(args[0], config.LevelConfig)
			if err != nil {
				return err
			}
			all, err := collect(c.Releases(ctx, path), limit)
			if err != nil {
				return err
			}
			t := table{header: []string{"VERSION", "RELEASED", "BY", "SOURCE", "SIZE", "DIGEST", "COMMENT"}}
			for _, r := range all {
				t.add(strconv.FormatInt(r.Version, 10), when(r.Time), r.Author, sourceText(r.Source), size(r.Size), short(r.Digest), r.Comment)
			}
			return a.show(all, t)
		})
	cmd.Flags().IntVarP(&limit, "limit", "n", 0, "at most `N`; 0 for all")
	return cmd
}

func sourceText(s config.Source) string {
	switch s.Kind {
	case config.SourceRollback:
		return fmt.Sprintf("rollback to %d", s.Version)
	case config.SourcePromotion:
		return fmt.Sprintf("promotion of %s version %d", s.From, s.Version)
	default:
		return string(s.Kind)
	}
}
