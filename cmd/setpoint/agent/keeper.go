package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// snapshot is all that is served to this instance, as of one revision.
type snapshot struct {
	configs   map[config.Path]client.Config
	revision  config.Token
	received  time.Time
	fromCache bool
}

// source tells what is served, and takes back what became of it.
type source interface {
	// Changes yields what is served now, then every newer state, except those
	// that were replaced before they were received. It is closed when there will
	// be no more.
	Changes() <-chan snapshot
	Applied(path config.Path, version int64)
	Refused(path config.Path, version int64, why string)
}

// keeper keeps groups of files in step with a source. It is for one goroutine.
type keeper struct {
	groups []*group
	source source
	served snapshot
	told   map[config.Path]report
	beat   <-chan time.Time // when after is called though nothing was done; nil for never
	// after is called when something was done, with everything in its place.
	after func(*keeper)
}

// report is what the server was last told of a config.
type report struct {
	version int64
	why     string // empty if applied
}

// loop keeps the files until ctx ends or the source does. What comes on again
// has everything looked at anew.
func (k *keeper) loop(ctx context.Context, again <-chan os.Signal) {
	retry := time.NewTimer(0)
	defer retry.Stop()
	<-retry.C
	changes := k.source.Changes()
	for {
		force := false
		select {
		case <-ctx.Done():
			return
		case next, ok := <-changes:
			if !ok {
				return
			}
			k.served = next
		case <-again:
			force = true
		case <-retry.C:
		case <-k.beat:
			k.after(k)
			continue
		}
		k.pass(ctx, force)
		if wait, ok := k.due(); ok {
			retry.Reset(wait)
		} else {
			retry.Stop()
		}
	}
}

// pass brings every group in turn to what it is to be. Their commands never run
// side by side: two groups may be about the same program.
func (k *keeper) pass(ctx context.Context, force bool) {
	for _, g := range k.groups {
		if ctx.Err() != nil {
			return
		}
		g.step(ctx, g.render(k.served.configs), time.Now(), force)
	}
	k.tell()
	if k.after != nil {
		k.after(k)
	}
}

// due says how long it is until a group is to be tried again.
func (k *keeper) due() (wait time.Duration, ok bool) {
	var first time.Time
	for _, g := range k.groups {
		if g.verdict == retrying && (!ok || g.next.Before(first)) {
			first, ok = g.next, true
		}
	}
	return max(0, time.Until(first)), ok
}

// tell reports what became of every config, where that is new. A config that
// several groups are made of was refused if one of them refused it, and applied
// only if all applied it.
func (k *keeper) tell() {
	for _, path := range sortedPaths(k.served.configs) {
		version := k.served.configs[path].Version
		now, ok := k.verdictOf(path, version)
		if !ok || k.told[path] == now {
			continue
		}
		k.told[path] = now
		if now.why == "" {
			k.source.Applied(path, version)
		} else {
			k.source.Refused(path, version, now.why)
		}
	}
	for path := range k.told {
		if _, served := k.served.configs[path]; !served {
			delete(k.told, path)
		}
	}
}

// verdictOf sums up what the groups made of a version; false if that is not
// known yet.
func (k *keeper) verdictOf(path config.Path, version int64) (report, bool) {
	concerned, done := 0, 0
	for _, g := range k.groups {
		if !slices.ContainsFunc(g.patterns, func(p config.Pattern) bool { return p.Match(path) }) {
			continue
		}
		concerned++
		switch {
		case g.versions[path] != version:
		case g.verdict == refused:
			return report{version: version, why: cmp.Or(reason(g.why), "refused")}, true
		case g.verdict == applied:
			done++
		}
	}
	return report{version: version}, concerned > 0 && done == concerned
}

// settled reports whether no group is to be tried again.
func (k *keeper) settled() bool {
	return !slices.ContainsFunc(k.groups, func(g *group) bool { return g.verdict == waiting || g.verdict == retrying })
}

// failures is why groups are not as they should be; nil if all are.
func (k *keeper) failures() error {
	var errs []error
	for _, g := range k.groups {
		if g.verdict != applied {
			errs = append(errs, fmt.Errorf("%s: %s: %w", g.Name, g.verdict, cmp.Or(g.why, errNotTried)))
		}
	}
	return errors.Join(errs...)
}

var errNotTried = errors.New("nothing was tried")
