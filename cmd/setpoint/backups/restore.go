package backups

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/server"
	"github.com/setpointhq/setpoint/store"
)

// restoreFlags are what restore takes.
type restoreFlags struct {
	config, dataDir string
	name, cluster   string
	bump            int64
}

const opRestore = "restore"

// restore makes a node's data of a backup.
func (e Env) restore() *cobra.Command {
	var f restoreFlags
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a node's data of a backup",
		Long: "Make a node's data of a backup, for a new installation in the place of one that is lost. Users,\n" +
			"passwords and tokens are those of the backup. A directory that holds data is refused, and so is a\n" +
			"file that is damaged, foreign or made by a newer version: then nothing is written.\n\n" +
			"Restore the node that founds the cluster anew, alone or with --name and --cluster, and start it;\n" +
			"let the others join it once their old data is deleted. Or restore all founding members, with one\n" +
			"and the same --cluster and --bump.\n\n" +
			"What clients were told after the backup was made is lost, and must not be told anew in other\n" +
			"words: so revisions go on far beyond any that can have been given out. --bump says how far; by\n" +
			"default a billion, and a million for each second since the backup was made, which is more than\n" +
			"any installation changes, so that restoring the same file again goes further still.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.bump < 0 {
				return config.Errorf(config.Invalid, opRestore, "--bump", "must not be negative: no client's revision may go backwards")
			}
			return e.runRestore(cmd, args[0], f)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&f.config, "config", "", "read the node's settings from `FILE` ($SETPOINT_CONFIG)")
	fs.StringVar(&f.dataDir, "data-dir", "", "make the data in `DIR`")
	fs.StringVar(&f.name, "name", "", "the `NAME` of this node in --cluster")
	fs.StringVar(&f.cluster, "cluster", "", "found a cluster of `NAME=HOST:PORT,…`, this node among them")
	fs.Int64Var(&f.bump, "bump", 0, "add `N` to the revision")
	cmd.MarkFlagsRequiredTogether("name", "cluster")
	return cmd
}

// restored is what a restore made.
type restored struct {
	*opened
	DataDir string `json:"data_dir"`
	Bump    int64  `json:"bump"`
	Became  int64  `json:"became_revision"`
}

func (e Env) runRestore(cmd *cobra.Command, file string, f restoreFlags) (err error) {
	peering, err := f.peering()
	if err != nil {
		return err
	}
	from := server.Sources{File: e.file(f.config), Environ: e.Environ}
	if f.dataDir != "" {
		from.Flags = append(from.Flags, server.Flag{Name: "--data-dir", Key: "data_dir", Value: f.dataDir})
	}
	o, err := e.open(opRestore, file, from)
	if err != nil {
		return err
	}
	if f.bump == 0 {
		f.bump = bumpSince(o.Created, time.Now())
		if peering != nil && len(peering.Members) > 1 {
			return config.Errorf(config.Invalid, opRestore, "--bump", "is needed with several members: all of them must get the same; --bump %d would do", f.bump)
		}
	}
	dir := o.settings.DataDir
	remove, err := makeDir(dir)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, o.close())
		if err != nil {
			remove()
		}
	}()
	if err := o.look(cmd.Context(), dir); err != nil {
		return err
	}
	err = o.restorer.Restore(cmd.Context(), store.Restore{Snapshot: o.snapshot, DataDir: dir, Peering: peering, Bump: f.bump})
	if err != nil {
		return err
	}
	done := restored{opened: o, DataDir: dir, Bump: f.bump, Became: o.at + f.bump}
	return show(cmd, done, func(w io.Writer) { e.tell(w, done, f, peering) })
}

// file is the settings file: the one given, or the environment's.
func (e Env) file(given string) string {
	for _, kv := range e.Environ {
		if value, ok := strings.CutPrefix(kv, "SETPOINT_CONFIG="); ok && given == "" {
			given = value
		}
	}
	return given
}

// bumpSince is how far revisions go on by default. The distance grows with time,
// faster than any installation makes revisions, so that of two restores of one
// backup the later goes further than all that was given out after the earlier.
// The billion makes up for clocks that differ by minutes.
func bumpSince(made, now time.Time) int64 {
	const least = 1_000_000_000
	return least + max(0, now.Sub(made).Microseconds())
}

// peering is the cluster that the flags tell of; nil for a lone node.
func (f restoreFlags) peering() (*store.Peering, error) {
	if f.cluster == "" {
		return nil, nil
	}
	refuse := func(format string, args ...any) (*store.Peering, error) {
		return nil, config.Errorf(config.Invalid, opRestore, "--cluster", format, args...)
	}
	members := map[string]string{}
	for member := range strings.SplitSeq(f.cluster, ",") {
		name, address, _ := strings.Cut(strings.TrimSpace(member), "=")
		if _, _, err := net.SplitHostPort(address); err != nil || name == "" {
			return refuse("%q is no member; write NAME=HOST:PORT", member)
		}
		if _, twice := members[name]; twice {
			return refuse("names %q twice", name)
		}
		members[name] = address
	}
	advertise, known := members[f.name]
	if !known {
		return refuse("names no member %q; it has %s", f.name, strings.Join(slices.Sorted(maps.Keys(members)), ", "))
	}
	return &store.Peering{Name: f.name, Advertise: advertise, Members: members, Token: "setpoint"}, nil
}

// makeDir makes the data directory, if it is not there; remove undoes it as long
// as nothing else is in it.
func makeDir(dir string) (remove func(), err error) {
	_, err = os.Stat(dir)
	if err == nil {
		return func() {}, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return func() { _ = os.Remove(dir) }, nil
}

// tell says what was restored, and what to type next.
func (e Env) tell(w io.Writer, r restored, f restoreFlags, peering *store.Peering) {
	fmt.Fprintf(w, "Restored installation %s, as it was at %s, into %s.\n", r.Installation, r.Created.Local().Format(time.DateTime), r.DataDir)
	v := r.Inventory
	fmt.Fprintf(w, "It has %d tenants, %d configs, %d releases, %d users and %d audit records. Revision %d became %d.\n",
		v.Tenants, v.Configs, v.Releases, v.Users, v.AuditRecords, r.at, r.Became)
	if v.Unreadable > 0 {
		fmt.Fprintf(w, "Warning: %d records cannot be read; 'setpoint backup verify' lists them.\n", v.Unreadable)
	}
	serve := e.Program + " serve --data-dir " + quote(r.DataDir)
	if f.config != "" {
		serve += " --config " + quote(f.config)
	}
	if peering == nil {
		fmt.Fprintf(w, "\nStart it:\n\n    %s\n", serve)
		return
	}
	serve += " --name " + quote(f.name) + " --cluster " + quote(f.cluster)
	if len(peering.Members) == 1 {
		fmt.Fprintf(w, "\nStart it, with the certificates that it had:\n\n    %s\n\n", serve)
		fmt.Fprintf(w, "Then delete the old data of each other node and let it join:\n\n    %s cluster add\n    %s serve --name NAME --join %s --token TOKEN\n",
			e.Program, e.Program, peering.Advertise)
		return
	}
	fmt.Fprint(w, "\nRestore the same file on each other member:\n\n")
	for _, name := range slices.Sorted(maps.Keys(peering.Members)) {
		if name != f.name {
			fmt.Fprintf(w, "    %s restore %s --data-dir DIR --name %s --cluster %s --bump %d\n", e.Program, quote(r.file), name, quote(f.cluster), r.Bump)
		}
	}
	fmt.Fprintf(w, "\nThen start them all, with the certificates that they had; this one:\n\n    %s\n", serve)
}

// quote makes a word of a line to copy.
func quote(word string) string {
	if strings.ContainsAny(word, " \t\n'\"\\$`!*?[]{}()<>|&;~#") || word == "" {
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return word
}
