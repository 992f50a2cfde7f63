package oidc

import (
	"context"
	"net/url"
	"time"

	"golang.org/x/oauth2"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

// mostAnswered bounds what a browser may bring back, in bytes.
const mostAnswered = 8 << 10

// Begin implements auth.Redirecter.
func (p *Provider) Begin(ctx context.Context, callback string) (string, config.Secret, error) {
	ctx, cancel := p.within(ctx)
	defer cancel()
	if !returnable(callback) {
		return "", config.Secret{}, config.Errorf(config.Invalid, op, "", "callback %.200q: want an https URL, or http to this machine, without fragment", callback)
	}
	d, err := p.discover(ctx)
	if err != nil {
		return "", config.Secret{}, p.failed(ctx, "begin", err)
	}
	s := newState(p.purpose(callback))
	page := p.oauth(d, callback).AuthCodeURL(text(s.state),
		oauth2.SetAuthURLParam("nonce", text(s.nonce)), oauth2.S256ChallengeOption(text(s.verifier)))
	return page, s.encode(), nil
}

// oauth describes the page to log in on.
func (p *Provider) oauth(d *discovered, callback string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.settings.ClientID, RedirectURL: callback, Scopes: p.scopes(d),
		Endpoint: oauth2.Endpoint{AuthURL: d.Authorization},
	}
}

// returnable reports whether a browser may bring secrets to the address.
func returnable(callback string) bool {
	u, err := url.Parse(callback)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return false
	}
	switch u.Hostname() {
	case "localhost", "127.0.0.1", "::1":
		return u.Scheme == "http" || u.Scheme == "https"
	}
	return u.Scheme == "https"
}

// Finish implements auth.Redirecter.
func (p *Provider) Finish(ctx context.Context, callback string, kept config.Secret, answer url.Values) (auth.Vouched, error) {
	ctx, cancel := p.within(ctx)
	defer cancel()
	v, err := p.finish(ctx, callback, kept, answer)
	if err != nil {
		return auth.Vouched{}, p.failed(ctx, "finish", err)
	}
	return v, nil
}

func (p *Provider) finish(ctx context.Context, callback string, kept config.Secret, answer url.Values) (auth.Vouched, error) {
	s, ok := decodeState(kept)
	purpose := p.purpose(callback)
	switch {
	case !ok:
		return auth.Vouched{}, reject("the browser has no state of a login")
	case !same(string(s.purpose[:]), string(purpose[:])):
		return auth.Vouched{}, reject("the state is of a login with another provider, or that comes back elsewhere")
	case !single(answer) || !same(answer.Get("state"), text(s.state)):
		return auth.Vouched{}, reject("the answer is to another login than the browser has begun")
	}
	d, err := p.discover(ctx)
	if err != nil {
		return auth.Vouched{}, err
	}
	// Who answers is said so that the code of one provider cannot be brought to
	// another (RFC 9207).
	if answer.Has("iss") || d.AnswersIssuer {
		if answer.Get("iss") != p.settings.Issuer {
			return auth.Vouched{}, reject("the answer is from the issuer %.200q", answer.Get("iss"))
		}
	}
	if code := answer.Get("error"); code != "" {
		return auth.Vouched{}, reject("the login page answered %.64q %.200q", code, answer.Get("error_description"))
	}
	if answer.Get("code") == "" {
		return auth.Vouched{}, reject("the answer has no code")
	}
	got, err := p.tokens(ctx, d, url.Values{
		"grant_type": {"authorization_code"}, "code": {answer.Get("code")},
		"redirect_uri": {callback}, "code_verifier": {text(s.verifier)},
	})
	if err != nil {
		return auth.Vouched{}, err
	}
	return p.vouch(ctx, d, got, expected{nonce: text(s.nonce)})
}

// single reports whether each parameter is given once and all are of a sane size.
func single(answer url.Values) bool {
	size := 0
	for name, values := range answer {
		if len(values) != 1 {
			return false
		}
		size += len(name) + len(values[0])
	}
	return size <= mostAnswered
}

// tokens are what a provider grants.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
}

// tokens asks the token endpoint for some.
func (p *Provider) tokens(ctx context.Context, d *discovered, form url.Values) (tokens, error) {
	var got tokens
	if err := p.post(ctx, d, d.Token, form, &got); err != nil {
		return tokens{}, err
	}
	return got, nil
}

// Renew implements auth.Renewer. What a provider has granted anew must be used
// from then on: many take a renewal once only.
func (p *Provider) Renew(ctx context.Context, kept config.Secret) (auth.Vouched, error) {
	ctx, cancel := p.within(ctx)
	defer cancel()
	v, err := p.renew(ctx, kept)
	if err != nil {
		return auth.Vouched{}, p.failed(ctx, "renew", err)
	}
	return v, nil
}

func (p *Provider) renew(ctx context.Context, kept config.Secret) (auth.Vouched, error) {
	r, ok := decodeRenewal(kept)
	if !ok {
		return auth.Vouched{}, reject("what the session keeps is no renewal")
	}
	d, err := p.discover(ctx)
	if err != nil {
		return auth.Vouched{}, err
	}
	got, err := p.tokens(ctx, d, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {r.Refresh}})
	if err != nil {
		return auth.Vouched{}, err
	}
	if got.Refresh == "" {
		got.Refresh = r.Refresh // the old one stays good (RFC 6749 §6)
	}
	return p.vouch(ctx, d, got, expected{subject: r.Subject, hint: r.IDToken})
}

// LeavePage implements auth.Leaver. It may wait for the provider to say where
// the page is, if nobody has asked yet.
func (p *Provider) LeavePage(kept config.Secret, after string) (string, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), p.settings.Timeout)
	defer cancel()
	d, err := p.discover(ctx)
	if err != nil || d.EndSession == "" {
		return "", false
	}
	page, err := url.Parse(d.EndSession)
	if err != nil {
		return "", false
	}
	q := page.Query()
	q.Set("client_id", p.settings.ClientID)
	if r, ok := decodeRenewal(kept); ok && r.IDToken != "" {
		q.Set("id_token_hint", r.IDToken)
	}
	if returnable(after) {
		q.Set("post_logout_redirect_uri", after)
	}
	page.RawQuery = q.Encode()
	return page.String(), true
}

// The bounds of a device login. A provider's own numbers are kept within them.
const (
	leastInterval = time.Second
	usualInterval = 5 * time.Second // RFC 8628 §3.2
	mostInterval  = time.Minute
	mostDevice    = time.Hour
	mostCode      = 4 << 10 // bytes
)

// BeginDevice implements auth.Devicer.
func (p *Provider) BeginDevice(ctx context.Context) (auth.DeviceCode, error) {
	ctx, cancel := p.within(ctx)
	defer cancel()
	code, err := p.beginDevice(ctx)
	if err != nil {
		return auth.DeviceCode{}, p.failed(ctx, "begin device", err)
	}
	return code, nil
}

func (p *Provider) beginDevice(ctx context.Context) (auth.DeviceCode, error) {
	d, err := p.discover(ctx)
	if err != nil {
		return auth.DeviceCode{}, err
	}
	if d.Device == "" {
		return auth.DeviceCode{}, unsupported("login with a device code; log in with a browser")
	}
	var got struct {
		Code     string  `json:"device_code"`
		UserCode string  `json:"user_code"`
		Page     string  `json:"verification_uri"`
		Complete string  `json:"verification_uri_complete"`
		Expires  float64 `json:"expires_in"`
		Interval float64 `json:"interval"`
	}
	form := url.Values{"client_id": {p.settings.ClientID}, "scope": {joined(p.scopes(d))}}
	if err := p.post(ctx, d, d.Device, form, &got); err != nil {
		return auth.DeviceCode{}, err
	}
	if got.Code == "" || len(got.Code) > mostCode || !shown(got.UserCode) || !secure(got.Page) || got.Complete != "" && !secure(got.Complete) {
		return auth.DeviceCode{}, config.Errorf(config.Unavailable, op, "", "the answer lacks a code or an https page")
	}
	interval := usualInterval
	if got.Interval > 0 {
		interval = seconds(got.Interval, leastInterval, mostInterval)
	}
	return auth.DeviceCode{
		Code: config.NewSecret(got.Code), UserCode: got.UserCode, Page: got.Page, Complete: got.Complete,
		Expires: seconds(got.Expires, usualInterval, mostDevice), Interval: interval,
	}, nil
}

// seconds makes a duration of a stranger's number, within bounds.
func seconds(n float64, least, most time.Duration) time.Duration {
	return time.Duration(min(max(n, least.Seconds()), most.Seconds()) * float64(time.Second))
}

// PollDevice implements auth.Devicer.
func (p *Provider) PollDevice(ctx context.Context, code config.Secret) (auth.Vouched, bool, time.Duration, error) {
	ctx, cancel := p.within(ctx)
	defer cancel()
	v, wait, err := p.pollDevice(ctx, code)
	if err != nil {
		return auth.Vouched{}, false, 0, p.failed(ctx, "poll device", err)
	}
	return v, wait == 0, wait, nil
}

// pollDevice returns a wait as long as nothing is decided.
func (p *Provider) pollDevice(ctx context.Context, code config.Secret) (auth.Vouched, time.Duration, error) {
	if code.Empty() || len(code.Reveal()) > mostCode {
		return auth.Vouched{}, 0, reject("it is no device code")
	}
	d, err := p.discover(ctx)
	if err != nil {
		return auth.Vouched{}, 0, err
	}
	got, err := p.tokens(ctx, d, url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {code.Reveal()}, "client_id": {p.settings.ClientID},
	})
	switch refused(err) {
	case "authorization_pending":
		return auth.Vouched{}, usualInterval, nil
	case "slow_down":
		return auth.Vouched{}, 2 * usualInterval, nil
	}
	if err != nil {
		return auth.Vouched{}, 0, err
	}
	v, err := p.vouch(ctx, d, got, expected{})
	return v, 0, err
}

var (
	_ auth.Redirecter = (*Provider)(nil)
	_ auth.Devicer    = (*Provider)(nil)
	_ auth.Renewer    = (*Provider)(nil)
	_ auth.Leaver     = (*Provider)(nil)
)
