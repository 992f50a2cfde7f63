package jwt

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/auth"
)

// rules are what the claims of a token have to keep.
type rules struct {
	name, issuer, subject, groups string
	audiences                     []string
	required                      map[string]string
	skew, maxLifetime, maxAge     time.Duration
}

func rulesOf(s Settings) rules {
	return rules{
		name: s.Name, issuer: s.Issuer, subject: s.SubjectClaim, groups: s.GroupsClaim,
		audiences: slices.Clone(s.Audiences), required: s.RequiredClaims,
		skew: s.ClockSkew, maxLifetime: s.MaxLifetime, maxAge: s.MaxAge,
	}
}

// check returns whom the claims name, and until when, if they keep the rules.
func (r *rules) check(c claims, now time.Time) (auth.Identity, time.Time, error) {
	if c["iss"] != r.issuer {
		return auth.Identity{}, time.Time{}, errors.New("the token has another issuer")
	}
	until, err := r.checkTimes(c, now)
	if err != nil {
		return auth.Identity{}, time.Time{}, err
	}
	if !slices.ContainsFunc(r.audiences, func(a string) bool { return holds(c["aud"], a) }) {
		return auth.Identity{}, time.Time{}, errors.New("the token is meant for another audience")
	}
	for claim, value := range r.required {
		if !holds(c.at(claim), value) {
			return auth.Identity{}, time.Time{}, fmt.Errorf("the token lacks the claim %s with the value that is required", claim)
		}
	}
	id, err := r.identity(c)
	return id, until, err
}

// checkTimes returns when the token ends. The skew is in favour of the token,
// but what it proved is remembered until its end and no longer.
func (r *rules) checkTimes(c claims, now time.Time) (until time.Time, err error) {
	until, ends, err1 := c.time("exp")
	starts, _, err2 := c.time("nbf")
	issued, dated, err3 := c.time("iat")
	if err := errors.Join(err1, err2, err3); err != nil {
		return time.Time{}, err
	}
	switch {
	case !ends:
		return time.Time{}, errors.New("the token has no exp claim, so that it would never end")
	case !now.Before(until.Add(r.skew)):
		return time.Time{}, errors.New("the token has expired")
	case now.Add(r.skew).Before(starts):
		return time.Time{}, errors.New("the token is not valid yet")
	case now.Add(r.skew).Before(issued):
		return time.Time{}, errors.New("the token was issued in the future")
	case r.maxLifetime > 0 && until.After(now.Add(r.maxLifetime+r.skew)):
		return time.Time{}, errors.New("the token is good for longer than max_lifetime")
	case r.maxAge > 0 && !dated:
		return time.Time{}, errors.New("the token has no iat claim, which max_age needs")
	case r.maxAge > 0 && !now.Before(issued.Add(r.maxAge+r.skew)):
		return time.Time{}, errors.New("the token was issued longer ago than max_age")
	}
	if old := issued.Add(r.maxAge); r.maxAge > 0 && old.Before(until) {
		until = old
	}
	return until, nil
}

func (r *rules) identity(c claims) (auth.Identity, error) {
	name, ok := c.at(r.subject).(string)
	if !ok || name == "" {
		return auth.Identity{}, fmt.Errorf("the token has no claim %s, or it is no text", r.subject)
	}
	// Whoever may set an address without owning it must not be taken for its owner.
	if verified, said := c["email_verified"]; r.subject == "email" && said && verified != true {
		return auth.Identity{}, errors.New("the token's email is not verified")
	}
	subject := auth.External(r.name, name)
	if err := auth.CheckExternal(subject); err != nil {
		return auth.Identity{}, err
	}
	groups, err := r.groupsOf(c)
	if err != nil {
		return auth.Identity{}, err
	}
	return auth.Identity{Subject: subject, Provider: r.name, Groups: groups, Method: Name}, nil
}

// groupsOf refuses what it cannot read rather than leave out a group, as one may
// be denied something. A name that nothing can be bound to is left out.
func (r *rules) groupsOf(c claims) ([]string, error) {
	if r.groups == "" {
		return nil, nil
	}
	var names []any
	switch v := c.at(r.groups).(type) {
	case nil:
		return nil, nil
	case string:
		names = []any{v}
	case []any:
		names = v
	default:
		return nil, fmt.Errorf("the claim %s is neither a list nor a text", r.groups)
	}
	if len(names) > auth.MaxExternalGroups {
		return nil, fmt.Errorf("the claim %s has %d groups, more than the %d that are taken", r.groups, len(names), auth.MaxExternalGroups)
	}
	var groups []string
	for _, v := range names {
		name, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("the claim %s has something that is no text", r.groups)
		}
		if group := auth.External(r.name, name); auth.CheckExternal(group) == nil {
			groups = append(groups, group)
		}
	}
	slices.Sort(groups)
	return slices.Compact(groups), nil
}

// at returns a claim by its name or, where none is named so, by its dotted path;
// nil if there is none. Names may hold dots themselves: "https://example.com/groups".
func (c claims) at(path string) any {
	if v, ok := c[path]; ok {
		return v
	}
	var v any = map[string]any(c)
	for part := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[part]
	}
	return v
}

// latestTime is the last second of the year 9999, beyond which no token is meant.
const latestTime = 253402300799

// time returns a claim in seconds since 1970; ok is false if there is none.
func (c claims) time(claim string) (t time.Time, ok bool, err error) {
	v, ok := c[claim]
	if !ok {
		return time.Time{}, false, nil
	}
	seconds, number := v.(float64)
	if !number || !(seconds >= 0 && seconds <= latestTime) {
		return time.Time{}, false, fmt.Errorf("the claim %s is no time in seconds since 1970", claim)
	}
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*1e9)), true, nil
}

// holds reports whether a claim has the value, or is a list with it.
func holds(claim any, value string) bool {
	switch v := claim.(type) {
	case string:
		return v == value
	case bool:
		return strconv.FormatBool(v) == value
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64) == value
	case []any:
		return slices.ContainsFunc(v, func(item any) bool {
			text, ok := item.(string)
			return ok && text == value
		})
	}
	return false
}
