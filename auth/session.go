package auth

import "time"

// UseNoter is implemented by a Directory that remembers when sessions are used,
// so that those that are not can be ended.
type UseNoter interface {
	// NoteUse says that the session is about to be used and reports whether it may
	// be: not, and nothing is noted, once it has been idle for IdleAfter. It is part
	// of every call with a session: it must be as cheap as a look-up, and write
	// nothing but memory. Other nodes learn of the use by and by, well before the
	// session would idle out.
	NoteUse(session *Token, now time.Time) bool
}

// IdleLimit is IdleAfter as a duration; 0 if the token never idles out.
func (t *Token) IdleLimit() time.Duration {
	return time.Duration(float64(t.IdleAfter) * float64(time.Second))
}

// LastUse is when the token was used last, as far as the store knows.
func (t *Token) LastUse() time.Time {
	if t.UsedAt.After(t.CreatedAt) {
		return t.UsedAt
	}
	return t.CreatedAt
}

// Idle reports whether the token has idled out, as far as the store knows. A
// last use that lies ahead, because a clock was set back, counts as just now.
func (t *Token) Idle(now time.Time) bool {
	limit := t.IdleLimit()
	return limit > 0 && now.Sub(t.LastUse()) >= limit
}
