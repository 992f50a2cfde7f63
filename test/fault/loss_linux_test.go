package fault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/test/fault/check"
	"github.com/setpointhq/setpoint/test/fault/history"
)

// loseAll backs up under load, then loses every disk, and restores; and then
// loses everything again and restores the same backup once more.
func loseAll(tr *trial) {
	backup := filepath.Join(tr.TempDir(), "backup")
	backedUp := tr.h.Now()
	tr.must(backUp(tr, backup))
	tr.goesOn()
	tr.rest()
	tr.judge()
	before, ops := tr.past, tr.h.Ops()
	// All members first, the second time one that founds the cluster anew.
	restores := []func(context.Context, string) error{tr.c.RestoreAll, tr.c.RestoreOne}
	for life, restore := range restores {
		token := tr.past.Token
		tr.figures.faults++
		for _, n := range tr.c.Nodes() {
			tr.must(n.Kill())
			tr.must(n.Wipe())
		}
		_, err := tr.c.Run(tr.Context(), "backup", "verify", backup)
		tr.must(err)
		tr.must(restore(tr.Context(), backup))
		tr.must(tr.past.Read(tr.Context(), tr.leader().Client(), tr.env))
		tr.restored(ops, before, backedUp)
		tr.resumes(token)
		tr.initial, tr.label = tr.past.Served, fmt.Sprintf("life %d, ", life+2)
		tr.start()
		if life < len(restores)-1 {
			tr.rest()
			tr.judge()
		}
	}
}

func backUp(tr *trial, file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = tr.leader().Client().Backup(tr.Context(), f)
	return errors.Join(err, f.Close())
}

// restored wants everything that was acknowledged before the backup began to be
// there, and nothing but what was there before the loss.
func (tr *trial) restored(ops []history.Op, before history.Past, backedUp time.Duration) {
	tr.Helper()
	var kept []history.Op
	for _, o := range ops {
		if o.Kind.Writes() && (o.Outcome != history.OK || o.Return > backedUp) {
			o.Outcome = history.Unknown // it may be in the backup or not
		}
		kept = append(kept, o)
	}
	for _, wrong := range check.Lost(kept, tr.past) {
		tr.Errorf("after the restore: %s", wrong)
	}
	for path, releases := range tr.past.Releases {
		was := before.Releases[path]
		for i, r := range releases {
			if i >= len(was) || was[i] != r {
				tr.Errorf("after the restore %s has another version %d: %+v", path, r.Version, r)
			}
		}
	}
}

// resumes wants a watch with a token of the life before to be told to begin anew,
// at a later revision, with all that is served.
func (tr *trial) resumes(token config.Token) {
	tr.Helper()
	was, err := history.Position(token)
	tr.must(err)
	for _, n := range tr.c.Nodes() {
		for e, err := range n.Client().Watch(tr.Context(), client.WatchRequest{Patterns: []string{tr.env.String()}, After: token}) {
			tr.must(err)
			now, err := history.Position(e.Revision)
			tr.must(err)
			if !e.Reset || now <= was || len(e.Changes) != len(tr.past.Served) {
				tr.Errorf("%s resumed a watch from revision %d of the life before with %d changes at %d, reset %t; want all %d, later",
					n.Name, was, len(e.Changes), now, e.Reset, len(tr.past.Served))
			}
			for _, c := range e.Changes {
				if want := tr.past.Served[c.Path]; want.Version != c.Version || want.Digest != history.Digest(c.Content) {
					tr.Errorf("%s resumed a watch with version %d of %s; want %d", n.Name, c.Version, c.Path, want.Version)
				}
			}
			break
		}
	}
}
