package jwt

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/setpointhq/setpoint/config"
)

// source is where keys come from.
type source interface {
	// load returns a JSON Web Key Set; nil if it is as it was at the last load that
	// was kept. It ends within a bounded time.
	load(ctx context.Context) ([]byte, error)
	// keep says that what load returned is good.
	keep()
}

// keys are the issuer's public keys, as they were when the source last had good
// ones. It is safe for concurrent use.
type keys struct {
	source  source
	local   bool          // looking for a change costs next to nothing
	refresh time.Duration // how old they get before the source is asked
	wait    time.Duration // between two loads
	keep    time.Duration // how old they get before they are of no use
	log     *slog.Logger
	now     func() time.Time

	current atomic.Pointer[keySet] // never nil
	// turn is held by the call that loads; what follows is that call's.
	turn    chan struct{}
	next    time.Time // no load before then
	failure error     // of the last load
}

// keySet is one state of the keys.
type keySet struct {
	keys       []jose.JSONWebKey
	digest     [sha256.Size]byte
	generation uint64 // changes with the keys; 0 while there have been none
	seen       time.Time
}

// A file is looked at so often.
const fileInterval = time.Second

func openKeys(ctx context.Context, s Settings, log *slog.Logger, now func() time.Time) (*keys, error) {
	k := &keys{refresh: s.Refresh, wait: s.RefetchWait, keep: s.KeepKeys, log: log, now: now, turn: make(chan struct{}, 1)}
	k.current.Store(&keySet{})
	if s.JWKSFile == "" {
		remote, err := openRemote(s)
		k.source = remote
		return k, err
	}
	k.source, k.local, k.refresh, k.wait = &file{path: s.JWKSFile}, true, fileInterval, fileInterval
	if err := k.load(ctx, k.current.Load()); err != nil {
		return nil, config.Errorf(config.Invalid, "open", place+".jwks_file", "%w", err)
	}
	return k, nil
}

func (k *keys) usable(set *keySet, now time.Time) bool {
	return set.generation > 0 && now.Before(set.seen.Add(k.keep))
}

// generation tells one state of the keys from another; 0 if there are none of
// use. It never waits for anybody.
func (k *keys) generation(ctx context.Context) uint64 {
	set, now := k.current.Load(), k.now()
	if k.local && !now.Before(set.seen.Add(k.refresh)) {
		_ = k.renew(ctx, set, false) // logged there
		set = k.current.Load()
	}
	if !k.usable(set, now) {
		return 0
	}
	return set.generation
}

// find returns the keys that a token with this header may be signed by. It has
// them loaded anew if they are old, or if none is the one that is wanted.
func (k *keys) find(ctx context.Context, id, algorithm string) (found []any, generation uint64, err error) {
	set := k.current.Load()
	switch now := k.now(); {
	case !k.usable(set, now):
		err = k.renew(ctx, set, true)
	case !now.Before(set.seen.Add(k.refresh)):
		_ = k.renew(ctx, set, false) // what there is still serves
	}
	set = k.current.Load()
	if !k.usable(set, k.now()) {
		return nil, 0, unavailable(err)
	}
	if found := set.match(id, algorithm); len(found) > 0 {
		return found, set.generation, nil
	}
	if err := k.renew(ctx, set, true); err != nil {
		return nil, 0, unavailable(err)
	}
	set = k.current.Load()
	if found := set.match(id, algorithm); len(found) > 0 {
		return found, set.generation, nil
	}
	return nil, 0, errNoKey
}

var errNoKey = errors.New("no key of the issuer's fits the token's kid and alg")

// unavailable is the answer while a token can be neither proved nor refused. A
// caller that stopped waiting is told so; why keys cannot be had is for the log.
func unavailable(err error) error {
	if kind := config.KindOf(err); err != nil && (kind == config.Canceled || kind == config.Timeout) {
		return config.Errorf(kind, "authenticate", "", "waiting for the keys of the token's issuer: %w", err)
	}
	return config.Errorf(config.Unavailable, "authenticate", "", "the keys of the token's issuer cannot be had just now; try again later")
}

// renew loads the keys, unless they are no longer those that the caller saw or
// it is too soon; the error is then that of the last load. Without patience it
// leaves the work to the call that is at it.
func (k *keys) renew(ctx context.Context, saw *keySet, patient bool) error {
	if !patient {
		select {
		case k.turn <- struct{}{}:
		default:
			return nil
		}
	} else {
		select {
		case k.turn <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer func() { <-k.turn }()
	if k.current.Load() != saw {
		return nil
	}
	if k.now().Before(k.next) {
		return k.failure
	}
	// Others wait for the same keys, so it goes on if this caller goes away.
	err := k.load(context.WithoutCancel(ctx), saw)
	k.next = k.now().Add(k.wait)
	switch {
	case err != nil && k.failure == nil:
		k.log.Warn("the keys of the issuer cannot be had; the last good ones stay in use for a time", "error", err, "last_good", saw.seen)
	case err == nil && k.failure != nil:
		k.log.Info("the keys of the issuer can be had again")
	}
	k.failure = nil
	if err != nil {
		k.failure = config.Errorf(config.Unavailable, "load keys", "", "%w", err)
	}
	return k.failure
}

// load replaces the keys by what the source has.
func (k *keys) load(ctx context.Context, old *keySet) error {
	asked := k.now()
	text, err := k.source.load(ctx)
	if err != nil {
		return err
	}
	set := &keySet{keys: old.keys, digest: old.digest, generation: old.generation, seen: asked}
	if text != nil {
		if set.keys, err = readKeys(text); err != nil {
			return err
		}
		set.digest = sha256.Sum256(text)
		if set.digest != old.digest {
			set.generation++
			k.log.Info("the keys of the issuer are new", "keys", len(set.keys))
		}
	}
	k.source.keep()
	k.current.Store(set)
	return nil
}

// mostTries is how many keys of one id are tried. There should be one.
const mostTries = 4

// match returns the keys with the id that are for the algorithm. A token that
// names none is taken if there is no choice.
func (s *keySet) match(id, algorithm string) []any {
	var found []any
	for i := range s.keys {
		key := &s.keys[i]
		if (id == "" || key.KeyID == id) && fits(key, algorithm) {
			found = append(found, key.Key)
		}
	}
	if id == "" && len(found) > 1 {
		return nil
	}
	return found[:min(len(found), mostTries)]
}
