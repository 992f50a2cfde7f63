package record

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

// Inspection is what can be said of one entry of the store by itself.
type Inspection struct {
	Section Section
	// Time is when the record was made or last changed, if it says so.
	Time time.Time
	// Digest is that of the content that lies under a ContentKey.
	Digest string
	// Elsewhere is where the content of a large release lies, and Want the digest
	// that it must have.
	Elsewhere, Want string
}

// Inspect decodes an entry, whatever it is, and says what is wrong with it.
func Inspect(key string, value []byte) (Inspection, error) {
	section, rest := Split(key)
	in := Inspection{Section: section}
	var err error
	switch section {
	case Audits:
		err = in.audit(key, value)
	case Seals:
		in.Time, err = seal(key, value)
	case Releases:
		err = in.release(rest, value)
	case Contents:
		_, _, err = SplitVersion(rest)
		in.Digest = digest(value)
	case Offices:
		// The store's own; whoever held it does so no longer.
	case Meta:
		err = meta(key, value)
	default:
		var name string
		name, in.Time, err = noun(section, value)
		if err == nil && name != rest {
			err = fmt.Errorf("the record is that of %q", name)
		}
	}
	return in, err
}

// meta checks what the installation knows of itself.
func meta(key string, value []byte) error {
	switch key {
	case ClusterKey:
		if len(value) == 0 {
			return errors.New("the installation's id is empty")
		}
		return nil
	case FormatKey:
		format, err := DecodeFormat(value)
		if err == nil && format > Format {
			err = fmt.Errorf("layout %d is of a newer Setpoint; this program knows up to %d", format, Format)
		}
		return err
	default:
		return errors.New("nothing of this program's has the key")
	}
}

// noun decodes a record that is one noun, whose name is the rest of its key.
func noun(section Section, value []byte) (name string, at time.Time, err error) {
	switch section {
	case Tenants:
		t, err := Decode[config.Tenant](value)
		return t.Name, t.CreatedAt, err
	case Apps:
		a, err := Decode[config.App](value)
		return a.Path().String(), a.CreatedAt, err
	case Envs:
		e, err := Decode[config.Env](value)
		return e.Path().String(), e.CreatedAt, err
	case Configs:
		c, err := Decode[config.Config](value)
		return c.Path.String(), c.UpdatedAt, err
	case Rollouts:
		o, err := Decode[config.Rollout](value)
		return o.Path.String(), changed(o), err
	case Launches:
		l, err := Decode[config.Launch](value)
		return l.Tenant + "/" + l.ID, moved(l), err
	case Drafts:
		d, err := DecodeDraft(value)
		return d.Path.String(), d.SavedAt, err
	case Users:
		u, err := DecodeUser(value)
		return u.Name, u.CreatedAt, err
	case Tokens:
		t, err := DecodeToken(value)
		return t.ID, t.CreatedAt, err
	case Bindings:
		b, err := Decode[auth.Binding](value)
		return b.ID, b.CreatedAt, err
	case Roles:
		r, err := Decode[auth.RoleInfo](value)
		if err == nil {
			_, err = auth.ParseVerbs(r.Verbs)
		}
		return string(r.Name), r.CreatedAt, err
	case Sinks:
		p, err := Decode[SinkPosition](value)
		return p.Sink, p.At, err
	case Joins:
		j, err := Decode[JoinToken](value)
		return j.ID, j.CreatedAt, err
	default:
		return "", time.Time{}, errors.New("this version of Setpoint knows no such record")
	}
}

// changed returns when something was last released or deleted.
func changed(o config.Rollout) time.Time {
	latest := o.DeletedAt
	for r := range o.Served() {
		if r.Time.After(latest) {
			latest = r.Time
		}
	}
	return latest
}

// moved returns when something last happened to a launch.
func moved(l config.Launch) time.Time {
	latest := l.StartedAt
	if n := len(l.Events); n > 0 && l.Events[n-1].At.After(latest) {
		latest = l.Events[n-1].At
	}
	return latest
}

func (in *Inspection) audit(key string, value []byte) error {
	r, err := Decode[audit.Record](value)
	if err != nil {
		return err
	}
	in.Time = r.Time
	if _, id := SplitAudit(key); id != r.ID {
		return fmt.Errorf("the record is that of %q", r.ID)
	}
	return nil
}

func (in *Inspection) release(rest string, value []byte) error {
	r, content, inline, err := DecodeRelease(value)
	if err != nil {
		return err
	}
	in.Time = r.Time
	if ReleaseKey(r.Path, r.Version) != Releases.Key(rest) {
		return fmt.Errorf("the record is that of %s, version %d", r.Path, r.Version)
	}
	if !inline {
		in.Elsewhere, in.Want = ContentKey(r.Path, r.Version), r.Digest
		return nil
	}
	if digest(content) != r.Digest || int64(len(content)) != r.Size {
		return errors.New("the content is not the one that was released: its digest differs")
	}
	return nil
}

// seal decodes what seals the audit.
func seal(key string, value []byte) (time.Time, error) {
	if key == SealHeadKey {
		head, err := Decode[audit.Head](value)
		return head.SealedAt, err
	}
	sequence, ok := SplitSealKey(key)
	switch {
	case !ok:
		return time.Time{}, errors.New("it is no link of the audit's chain")
	case strings.HasPrefix(key, sealedPrefix):
		_, err := DecodeSealed(value)
		return time.Time{}, err
	}
	c, err := Decode[audit.Checkpoint](value)
	switch {
	case err == nil && c.Sequence != sequence:
		err = fmt.Errorf("the checkpoint is number %d", c.Sequence)
	case err == nil && c.Sum() != c.Hash:
		err = errors.New("the checkpoint's hash is not its own")
	}
	return c.SealedAt, err
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
