package center

import (
	"cmp"
	"errors"
	"io"
	"strings"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/backup"
	"github.com/setpointhq/setpoint/internal/record"
)

const (
	// maxMovedConfigs bounds the configs of one export, about which a check keeps
	// some 300 bytes each.
	maxMovedConfigs = 1_000_000
	maxAuditID      = 128 // bytes
)

// movedTenant checks the records of an export as they come: each by itself, by
// the rules and limits of this installation, and all of them together. Nothing
// is kept of them but what that takes.
type movedTenant struct {
	center   *Center
	name     string // that the file says it is of
	tenant   config.Tenant
	contents TenantContents
	kind     int                 // of the last record, as a place in transferOrder; -1 before the first
	last     string              // what it is sorted by
	apps     map[config.Path]int // to the number of envs
	envs     map[config.Path]int // to the number of configs that are not deleted
	configs  map[config.Path]*movedConfig
	launches movedLaunches
	path     config.Path // of the record that is being checked, for errors
}

// movedConfig is what the records of one config must agree on.
type movedConfig struct {
	meta, live     bool
	oldest, latest int64
	kept           int64                    // releases from the oldest on
	served         map[int64]config.Release // those that the rollout names and that did not come yet
}

func (c *Center) newMovedTenant(name string) *movedTenant {
	return &movedTenant{
		center: c, name: name, kind: -1,
		apps: map[config.Path]int{}, envs: map[config.Path]int{}, configs: map[config.Path]*movedConfig{},
		launches: newMovedLaunches(c.now().UTC().Round(0)),
	}
}

// check reads all records, and refuses them all if one of them is no good.
func (m *movedTenant) check(records *backup.Records) error {
	for {
		rec, err := records.Next()
		switch {
		case errors.Is(err, io.EOF):
			return m.end()
		case errors.Is(err, backup.ErrTooMuch):
			return config.Errorf(config.TooLarge, "", "", "%s (limits config_size, %s, and tenant_size, %s)",
				config.AsError(err).Detail(), m.center.limits.ConfigSize, m.center.limits.TenantSize)
		case err != nil:
			return err
		}
		if err := m.take(rec); err != nil {
			return m.refuse(records.Count(), err)
		}
	}
}

// refuse says which record is no good.
func (m *movedTenant) refuse(number int64, err error) error {
	kind, why := plainly(err)
	return config.Errorf(kind, "", m.path.String(), "record %d of the file: %w", number, why)
}

// plainly takes apart what a check says: its kind, Invalid unless it names one,
// and the reason alone.
func plainly(err error) (config.ErrorKind, error) {
	var known *config.Error
	if errors.As(err, &known) {
		return known.Kind, errors.New(known.Detail())
	}
	return config.Invalid, err
}

func (m *movedTenant) take(rec backup.Record) error {
	m.path = config.Path{Tenant: m.name}
	noun, err := decodeMoved(rec)
	if err != nil {
		return err
	}
	place := strings.IndexByte(transferOrder, rec.Kind)
	if m.kind == -1 && place != 0 {
		return errors.New("the tenant does not come first")
	}
	if rec.Kind != 'd' && rec.Kind != 'r' && len(rec.Content) > 0 {
		return errors.New("it has a content, which records of its kind have not")
	}
	key, err := m.noun(noun)
	if err != nil {
		return err
	}
	if place < m.kind || place == m.kind && key <= m.last {
		return errors.New("it is out of order, or is there twice")
	}
	m.kind, m.last = place, key
	if n := m.contents.counter(rec.Kind); n != nil {
		*n++
	}
	return nil
}

// noun checks one noun and returns what its kind is sorted by.
func (m *movedTenant) noun(noun any) (key string, err error) {
	switch v := noun.(type) {
	case config.Tenant:
		return m.takeTenant(v)
	case config.App:
		return m.takeApp(v)
	case config.Env:
		return m.takeEnv(v)
	case config.Config:
		return m.takeConfig(v)
	case config.Rollout:
		return m.takeRollout(v)
	case config.Launch:
		return m.takeLaunch(v)
	case config.Draft:
		return m.takeDraft(v)
	case movedRelease:
		return m.takeRelease(v)
	case audit.Record:
		return m.takeAudit(v)
	default:
		if counts, ok := v.(TenantContents); !ok || counts != m.contents {
			return "", errors.New("there are not as many records as there should be")
		}
		return "z", nil
	}
}

// at notes what the record is about, which must be in the tenant.
func (m *movedTenant) at(p config.Path, level config.Level) (string, error) {
	if err := p.Require(level); err != nil {
		return "", err
	}
	if p.Tenant != m.name {
		return "", config.Errorf(config.Invalid, "", "", "it is about %s, and the file is the export of tenant %s", p, m.name)
	}
	m.path = p
	return p.String(), nil
}

func (m *movedTenant) takeTenant(t config.Tenant) (string, error) {
	key, err := m.at(config.Path{Tenant: t.Name}, config.LevelTenant)
	m.tenant = t
	return key, cmp.Or(err, m.state(t.Closing, t.Revision), m.center.checkComment("", "", t.Description))
}

// state refuses what a noun can say of its place in a store alone.
func (m *movedTenant) state(closing bool, revision config.Token) error {
	if closing || revision != "" {
		return errors.New("it holds what belongs to the installation that it came from: its revision, or that it is being deleted")
	}
	return nil
}

func (m *movedTenant) takeApp(a config.App) (string, error) {
	key, err := m.at(a.Path(), config.LevelApp)
	m.apps[a.Path()] = 0
	return key, cmp.Or(err, m.state(a.Closing, a.Revision), m.center.checkComment("", "", a.Description))
}

func (m *movedTenant) takeEnv(e config.Env) (string, error) {
	key, err := m.at(e.Path(), config.LevelEnv)
	if err != nil {
		return "", err
	}
	app := e.Path().Parent()
	count, ok := m.apps[app]
	if !ok {
		return "", config.Errorf(config.Invalid, "", "", "its app %s is not in the file", app)
	}
	if count >= MaxEnvsPerApp {
		return "", config.Errorf(config.Exhausted, "", "", "app %s has more than %d envs, which is the most", app, MaxEnvsPerApp)
	}
	m.apps[app], m.envs[e.Path()] = count+1, 0
	return key, cmp.Or(m.state(e.Closing, e.Revision), checkEnvKind(e.Kind), m.center.checkComment("", "", e.Description), config.ValidateFreezes("", e.Freezes))
}

func (m *movedTenant) takeConfig(c config.Config) (string, error) {
	key, err := m.at(c.Path, config.LevelConfig)
	if err != nil {
		return "", err
	}
	if c.Format == "" || c.Kind == "" {
		return "", errors.New("it does not say of which kind and format it is")
	}
	if len(m.configs) >= maxMovedConfigs {
		return "", config.Errorf(config.TooLarge, "", "", "the file holds more than %d configs", maxMovedConfigs)
	}
	m.configs[c.Path] = &movedConfig{meta: true, live: true}
	_, err = m.center.newConfig(c)
	return key, cmp.Or(m.state(false, c.Revision), err)
}

func (m *movedTenant) takeRollout(o config.Rollout) (string, error) {
	key, err := m.at(o.Path, config.LevelConfig)
	if err != nil {
		return "", err
	}
	c := m.configs[o.Path]
	if c == nil { // it was purged: what is left is its version counter
		if len(m.configs) >= maxMovedConfigs {
			return "", config.Errorf(config.TooLarge, "", "", "the file holds more than %d configs", maxMovedConfigs)
		}
		c = &movedConfig{}
		m.configs[o.Path] = c
	}
	c.live = c.meta && !o.Deleted
	c.latest, c.oldest = o.Latest, max(o.Oldest, 1)
	c.served = map[int64]config.Release{}
	if o.Latest < 0 || o.Oldest < 0 || c.oldest > o.Latest+1 {
		return "", config.Errorf(config.Invalid, "", "", "it says that releases %d to %d are kept", o.Oldest, o.Latest)
	}
	if o.Previous < 0 || o.Previous > o.Latest {
		return "", config.Errorf(config.Invalid, "", "", "release %d was stable before, it says, and there are %d", o.Previous, o.Latest)
	}
	if !isSlot(o.Slot) {
		return "", config.Errorf(config.Invalid, "", "", "there can be no slot %q", clipText(o.Slot))
	}
	for r := range o.Served() {
		if r.Version < 1 || r.Version > o.Latest || r.Path != o.Path {
			return "", config.Errorf(config.Invalid, "", "", "it serves release %d of %s, which cannot be", r.Version, r.Path)
		}
		if _, twice := c.served[r.Version]; twice {
			return "", config.Errorf(config.Invalid, "", "", "it serves release %d twice", r.Version)
		}
		c.served[r.Version] = *r
	}
	return key, m.launches.takeCandidates(&o)
}

func (m *movedTenant) takeDraft(d config.Draft) (string, error) {
	key, err := m.at(d.Path, config.LevelConfig)
	if err != nil {
		return "", err
	}
	if c := m.configs[d.Path]; c == nil || !c.meta {
		return "", errors.New("the config of the draft is not in the file")
	}
	_, err = m.center.formats.Get(d.Format)
	return key, cmp.Or(m.state(false, d.Revision), err)
}

func (m *movedTenant) takeRelease(r movedRelease) (string, error) {
	if _, err := m.at(r.Path, config.LevelConfig); err != nil {
		return "", err
	}
	c := m.configs[r.Path]
	if c == nil || !c.meta || c.served == nil {
		return "", config.Errorf(config.Invalid, "", "", "the config of release %d is not in the file", r.Version)
	}
	served, isServed := c.served[r.Version]
	switch {
	case r.Version > c.latest || r.Version < 1 || r.Version < c.oldest && !isServed:
		return "", config.Errorf(config.Invalid, "", "", "release %d is none of those from %d to %d that are kept", r.Version, c.oldest, c.latest)
	case digestOf(r.content) != r.Digest || int64(len(r.content)) != r.Size:
		return "", config.Errorf(config.Invalid, "", "", "the content of release %d is not what was published: its digest or size differs", r.Version)
	case isServed && (served.Digest != r.Digest || served.Size != r.Size || served.Format != r.Format):
		return "", config.Errorf(config.Invalid, "", "", "release %d is not the one that is served", r.Version)
	}
	if delete(c.served, r.Version); r.Version >= c.oldest {
		c.kept++
	}
	return record.ReleaseKey(r.Path, r.Version), m.center.checkComment("", "", r.Comment)
}

func (m *movedTenant) takeAudit(r audit.Record) (string, error) {
	outside := r.Path.Tenant != m.name
	for i := range r.Items {
		outside = outside || r.Items[i].Path.Tenant != m.name
	}
	switch {
	case outside:
		return "", errors.New("it is an audit record of another tenant")
	case r.ID == "" || len(r.ID) > maxAuditID || r.Time.IsZero() || r.Revision != "":
		return "", errors.New("it is no whole audit record: its id or time is missing")
	}
	m.path = r.Path
	return r.ID, nil
}

// end checks what only all records together can tell.
func (m *movedTenant) end() error {
	m.path = config.Path{Tenant: m.name}
	if m.kind != len(transferOrder)-1 {
		return config.Errorf(config.Invalid, "", m.name, "the file ends before all of the tenant came")
	}
	if err := m.launches.unclaimed(); err != nil {
		return err
	}
	for path, c := range m.configs {
		if err := m.whole(path, c); err != nil {
			return located("", path.String(), err)
		}
	}
	return nil
}

func (m *movedTenant) whole(path config.Path, c *movedConfig) error {
	if c.latest >= c.oldest && c.served != nil && c.kept != c.latest-c.oldest+1 {
		return config.Errorf(config.Invalid, "", "", "of its releases %d to %d the file holds only %d", c.oldest, c.latest, c.kept)
	}
	for v := range c.served {
		return config.Errorf(config.Invalid, "", "", "release %d, which is served, is not in the file", v)
	}
	if !c.live {
		return nil
	}
	env := path.At(config.LevelEnv)
	count, ok := m.envs[env]
	if !ok {
		return config.Errorf(config.Invalid, "", "", "its env is not in the file, and it is not deleted")
	}
	if m.envs[env] = count + 1; count >= m.center.limits.ConfigsPerEnv {
		return config.Errorf(config.Exhausted, "", "", "env %s holds more configs than the limit configs_per_env allows, which is %d", env, m.center.limits.ConfigsPerEnv)
	}
	return nil
}
