package view

import (
	"errors"
	"strings"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

// errForeign marks a record that says it is of another path than its key.
var errForeign = errors.New("the record is of another path than its key")

// splitPath reads the rest of a key as a path of exactly the level. It is
// stricter than config.ParsePath: one key is one path.
func splitPath(rest string, level config.Level) (config.Path, bool) {
	if strings.Count(rest, "/") != int(level)-1 {
		return config.Path{}, false
	}
	var p config.Path
	parts := [...]*string{&p.Tenant, &p.App, &p.Env, &p.Name}
	for _, part := range parts[:level] {
		*part, rest, _ = strings.Cut(rest, "/")
	}
	return p, p.Require(level) == nil
}

// takeMeta puts an entry of section c into a config.
func (c *Config) takeMeta(e store.Entry, revision int64) error {
	meta, err := record.Decode[config.Config](e.Value)
	if err != nil {
		return err
	}
	if err := adopt(&meta.Path, c.Meta.Path); err != nil {
		return err
	}
	c.Meta, c.MetaRevision = meta, revision
	return nil
}

// takeRollout puts an entry of section o into a config.
func (c *Config) takeRollout(e store.Entry, revision int64) error {
	rollout, err := record.Decode[config.Rollout](e.Value)
	if err != nil {
		return err
	}
	if err := adopt(&rollout.Path, c.Rollout.Path); err != nil {
		return err
	}
	for release := range rollout.Served() {
		if err := adopt(&release.Path, c.Rollout.Path); err != nil {
			return err
		}
	}
	c.Rollout, c.RolloutRevision, c.created = rollout, revision, e.Created
	return nil
}

// drop takes what a section holds out of a config.
func (c *Config) drop(s record.Section) {
	switch s {
	case record.Configs:
		c.Meta, c.MetaRevision = config.Config{Path: c.Meta.Path}, 0
	case record.Rollouts:
		c.Rollout, c.RolloutRevision, c.created = config.Rollout{Path: c.Rollout.Path}, 0, 0
	case record.Drafts:
		c.DraftRevision = 0
	}
}

// take puts an entry into the config that its key names.
func (c *Config) take(s record.Section, e store.Entry, revision int64) error {
	switch s {
	case record.Configs:
		return c.takeMeta(e, revision)
	case record.Rollouts:
		return c.takeRollout(e, revision)
	default:
		c.DraftRevision = revision
		return nil
	}
}

// newConfig makes an empty config for a key.
func newConfig(key string, p config.Path) *Config {
	return &Config{key: key, Meta: config.Config{Path: p}, Rollout: config.Rollout{Path: p}}
}

// adopt replaces a decoded path by the same one whose memory is shared by
// everything of a config.
func adopt(decoded *config.Path, own config.Path) error {
	if *decoded != own && *decoded != (config.Path{}) {
		return errForeign
	}
	*decoded = own
	return nil
}
