package history

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// Digest is the SHA-256 of content, as servers tell it.
func Digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// Read asks for the past of an env. The cluster must have come to rest.
func (p *Past) Read(ctx context.Context, c *client.Client, env config.Path) error {
	*p = Past{Releases: map[config.Path][]config.Release{}, Served: map[config.Path]Item{}}
	snap, err := c.Snapshot(ctx, env, client.ReadOptions{Strong: true})
	if err != nil {
		return err
	}
	p.Token = snap.Revision
	for _, r := range snap.Configs {
		p.Served[r.Path] = Item{Path: r.Path, Version: r.Version, Digest: Digest(r.Content)}
		releases, err := all(c.Releases(ctx, r.Path))
		if err != nil {
			return err
		}
		slices.Reverse(releases)
		p.Releases[r.Path] = releases
	}
	if p.Sets, err = all(c.ChangeSets(ctx, env.Tenant)); err != nil {
		return err
	}
	slices.Reverse(p.Sets)
	p.Sets = slices.DeleteFunc(p.Sets, func(s config.ChangeSet) bool {
		return !slices.ContainsFunc(s.Items, func(i config.ChangeItem) bool { return i.Path.At(config.LevelEnv) == env })
	})
	for _, action := range []string{"config.publish", "config.rollback"} {
		records, err := all(c.Audit(ctx, env.Tenant, client.AuditFilter{Action: action}))
		if err != nil {
			return err
		}
		for _, r := range records {
			if slices.ContainsFunc(r.Items, func(i config.ChangeItem) bool { return i.Path.At(config.LevelEnv) == env }) {
				p.Audit = append(p.Audit, r)
			}
		}
	}
	return nil
}

func all[T any](seq iter.Seq2[T, error]) ([]T, error) {
	var got []T
	for item, err := range seq {
		if err != nil {
			return nil, err
		}
		got = append(got, item)
	}
	return got, nil
}

// Since is the part of the past that came after what was served initially.
func (p *Past) Since(initial map[config.Path]Item) Past {
	since := *p
	since.Releases, since.Audit = map[config.Path][]config.Release{}, nil
	later := func(path config.Path, version int64) bool { return version > initial[path].Version }
	for path, releases := range p.Releases {
		since.Releases[path] = slices.DeleteFunc(slices.Clone(releases), func(r config.Release) bool { return !later(path, r.Version) })
	}
	for _, r := range p.Audit {
		if slices.ContainsFunc(r.Items, func(i config.ChangeItem) bool { return later(i.Path, i.Version) }) {
			since.Audit = append(since.Audit, r)
		}
	}
	return since
}

// Position is the place in the order of all changes that a token stands for.
// Clients never look into a token; a judge of what they were told must.
func Position(t config.Token) (int64, error) {
	digits, _, found := strings.Cut(string(t), ".")
	position, err := strconv.ParseInt(digits, 36, 64)
	if err != nil || !found {
		return 0, fmt.Errorf("%q is no token", t)
	}
	return position, nil
}
