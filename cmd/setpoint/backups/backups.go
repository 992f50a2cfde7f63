// Package backups holds the commands that look into a backup and make an
// installation of one: 'setpoint backup verify' and 'setpoint restore'. They
// work on files, with the drivers of the build, and speak to no server.
package backups

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/backup"
	"github.com/setpointhq/setpoint/server"
	"github.com/setpointhq/setpoint/store"
)

// Env is what the commands work with.
type Env struct {
	// Drivers are those of the build; the one of the engine reads its snapshots.
	Drivers *server.Drivers
	// Environ is the environment, as from os.Environ.
	Environ []string
	// Program is how to call this program, for lines to copy.
	Program string
	Version string
}

// AddTo adds restore to root, in the group, and verify to the command backup,
// which a client has.
func AddTo(root *cobra.Command, group string, e Env) {
	restore := e.restore()
	restore.GroupID = group
	root.AddCommand(restore)
	for _, c := range root.Commands() {
		if c.Name() == "backup" {
			c.AddCommand(e.verify())
		}
	}
}

// opened is a backup file whose header was read, then one that was unpacked and
// looked through.
type opened struct {
	backup.Info
	Inventory backup.Inventory `json:"inventory"`

	op, file string
	settings *server.Settings
	restorer store.Restorer
	snapshot string // a temporary file, for close to remove
	at       int64  // the revision that the engine finds in it
}

// open reads a backup's header and finds the driver of its engine, with its
// settings: what the backup says, over that those given.
func (e Env) open(op, file string, from server.Sources) (*opened, error) {
	o := &opened{op: op, file: file}
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, config.Errorf(config.NotFound, op, file, "there is no such file")
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if o.Header, _, err = backup.Open(f); err != nil {
		return nil, config.Errorf(config.KindOf(err), op, file, "%w", config.AsError(err).Err)
	}
	if newer(o.Version, e.Version) {
		return nil, o.refuse("it was made by Setpoint %s and this is %s: use that version, or a newer one", o.Version, e.Version)
	}
	if _, err := e.Drivers.Stores.Get(o.Engine); err != nil {
		return nil, o.refuse("it is of the engine %q: %w", o.Engine, err)
	}
	from.Presets = append(from.Presets, server.Flag{Name: "the backup", Key: "store", Value: o.Engine})
	if o.Prefix != "" {
		from.Presets = append(from.Presets, server.Flag{Name: "the backup", Key: "store." + o.Engine + ".prefix", Value: o.Prefix})
	}
	if o.settings, err = server.LoadSettings(e.Drivers, from); err != nil {
		return nil, err
	}
	chosen := o.settings.Store.Chosen()[0]
	if chosen.Name != o.Engine {
		return nil, o.refuse("it is of the engine %q, and the settings name the store %q", o.Engine, chosen.Name)
	}
	var can bool
	if o.restorer, can = chosen.Settings.(store.Restorer); !can {
		return nil, config.Errorf(config.Unsupported, op, file, "the store %q cannot read or restore what it has written out", o.Engine)
	}
	return o, nil
}

func (o *opened) refuse(format string, args ...any) error {
	return config.Errorf(config.Invalid, o.op, o.file, format, args...)
}

// look unpacks the backup into a directory and has the engine's driver read all
// that it holds. It refuses what was changed, or holds no installation. Records
// that cannot be read it only counts.
func (o *opened) look(ctx context.Context, dir string) (err error) {
	if o.snapshot, o.Info, err = backup.Extract(ctx, o.file, dir); err != nil {
		return err
	}
	o.at, err = o.restorer.Check(ctx, o.snapshot, func(entry store.Entry) error {
		o.Inventory.Take(entry)
		return nil
	})
	switch {
	case err != nil:
		return config.Errorf(config.KindOf(err), o.op, o.file, "what it holds cannot be used: %w", err)
	case o.at < o.Revision: // an engine may not know it before it has written
		return o.refuse("it says that it is of revision %d, and what it holds is of %d", o.Revision, o.at)
	case o.Inventory.Newer():
		return o.refuse("its records are laid out as a newer Setpoint does (layout %d): use that version, or a newer one", o.Inventory.Layout)
	case o.Inventory.Installation != o.Installation:
		return o.refuse("it says that it is of installation %s, and what it holds is of %q", o.Installation, o.Inventory.Installation)
	}
	return nil
}

// close removes what look has unpacked.
func (o *opened) close() error {
	if o.snapshot == "" {
		return nil
	}
	err := os.Remove(o.snapshot)
	o.snapshot = ""
	return err
}

// newer reports whether version a is newer than b. What is no numbered version,
// such as that of a build for trying things out, is as good as any.
func newer(a, b string) bool {
	parse := func(v string) (n [3]int, ok bool) {
		count, err := fmt.Sscanf(strings.TrimPrefix(v, "v"), "%d.%d.%d", &n[0], &n[1], &n[2])
		return n, err == nil && count == len(n)
	}
	x, known := parse(a)
	y, knownToo := parse(b)
	if !known || !knownToo {
		return false
	}
	for i := range x {
		if x[i] != y[i] {
			return x[i] > y[i]
		}
	}
	return false
}

// verify looks through a backup.
func (e Env) verify() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Look at every record in a backup",
		Long: "Look at every record in a backup: that the file is whole, that the engine can read what it\n" +
			"holds, that every record can be decoded, and that every release has the content that its\n" +
			"digest tells. It needs no server, and room for the unpacked backup in --temp-dir.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			o, err := e.open("verify backup", args[0], server.Sources{})
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, o.close()) }()
			if err := o.look(cmd.Context(), dir); err != nil {
				return err
			}
			if err := show(cmd, o, o.table); err != nil {
				return err
			}
			if n := o.Inventory.Unreadable; n > 0 {
				return o.refuse("%d of its records are no good", n)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "temp-dir", "", "unpack the backup in `DIR`, for the time being (the system's, $TMPDIR)")
	return cmd
}

// show prints a result as the flag --output of the program says.
func show(cmd *cobra.Command, value any, table func(io.Writer)) error {
	format, _ := cmd.Flags().GetString("output") // a program without the flag prints tables
	if format == "json" || format == "yaml" {    // JSON is YAML
		enc := json.NewEncoder(cmd.OutOrStdout())
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(value)
	}
	table(cmd.OutOrStdout())
	return nil
}

// table tells what lies in a backup.
func (o *opened) table(out io.Writer) {
	v := o.Inventory
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	for _, row := range [][2]any{
		{"INSTALLATION", o.Installation}, {"MADE", o.Created.Local().Format(time.DateTime)}, {"BY", "Setpoint " + o.Version},
		{"REVISION", o.Revision}, {"SIZE", o.Size}, {"TENANTS", v.Tenants}, {"APPS", v.Apps}, {"ENVS", v.Envs},
		{"CONFIGS", v.Configs}, {"DRAFTS", v.Drafts}, {"LAUNCHES", v.Launches}, {"RELEASES", v.Releases}, {"AUDIT RECORDS", v.AuditRecords},
		{"USERS", v.Users}, {"TOKENS", v.Tokens}, {"BINDINGS", v.Bindings}, {"NEWEST RECORD", v.Newest.Local().Format(time.DateTime)},
		{"UNREADABLE", v.Unreadable},
	} {
		fmt.Fprintf(w, "%v\t%v\n", row[0], row[1])
	}
	w.Flush()
	for _, f := range v.Findings {
		fmt.Fprintf(out, "%q: %q\n", f.Key, f.Message)
	}
}
