package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

const op = "authenticate"

// Provider is an OpenID provider. It is safe for concurrent use.
type Provider struct {
	name     string
	settings Settings
	log      *slog.Logger
	now      func() time.Time
	http     *http.Client

	known atomic.Pointer[discovered]
	turn  chan struct{} // held by who asks for the discovery document
	// Guarded by turn: why it could not be asked, and until when it is left alone.
	failure error
	rests   time.Time
}

func newProvider(s Settings, env auth.Env) (*Provider, error) {
	client, err := newClient(s)
	if err != nil {
		return nil, err
	}
	return &Provider{name: s.Name, settings: s, log: env.Log, now: env.Now, http: client, turn: make(chan struct{}, 1)}, nil
}

// Provider implements auth.Provider.
func (p *Provider) Provider() string { return p.name }

// rejection is why something proves nothing, for the log.
type rejection struct{ why string }

func (r *rejection) Error() string { return r.why }

func reject(format string, args ...any) error { return &rejection{fmt.Sprintf(format, args...)} }

// refusal is an error that the provider answered with (RFC 6749 §5.2).
type refusal struct {
	Status int    `json:"-"`
	Code   string `json:"error"`
	Text   string `json:"error_description"`
}

func (r *refusal) Error() string {
	return fmt.Sprintf("the provider answered %d %q %.200q", r.Status, r.Code, r.Text)
}

// final reports whether the provider has judged what it was shown. All else is
// about the client's registration or the provider's state, and may pass.
func (r *refusal) final() bool {
	switch r.Code {
	case "invalid_grant", "access_denied", "expired_token",
		"login_required", "consent_required", "interaction_required", "account_selection_required":
		return r.Status == http.StatusBadRequest || r.Status == http.StatusUnauthorized || r.Status == http.StatusForbidden
	}
	return false
}

// failed makes the error for the caller: one text if nothing is proved, another
// if the provider cannot be asked. Why is for the log.
func (p *Provider) failed(ctx context.Context, doing string, err error) error {
	var known *config.Error
	var no *rejection
	var answered *refusal
	switch {
	case errors.As(err, &no), errors.As(err, &answered) && answered.final():
		p.log.Info("an OpenID provider does not vouch for somebody", "provider", p.name, "doing", doing, "reason", brief(err), "address", auth.RequestFrom(ctx).Address)
		return config.Errorf(config.Unauthenticated, op, "", "the provider %s does not vouch for this; log in again", p.name)
	case errors.As(err, &known) && known.Kind == config.Unsupported:
		return known
	case errors.Is(ctx.Err(), context.Canceled):
		return config.Errorf(config.Canceled, op, "", "asking the provider %s: %w", p.name, ctx.Err())
	}
	p.log.Warn("an OpenID provider cannot be asked", "provider", p.name, "doing", doing, "error", brief(err))
	return config.Errorf(config.Unavailable, op, "", "the provider %s cannot be asked now; try again later", p.name)
}

// within bounds what takes several requests.
func (p *Provider) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 2*p.settings.Timeout)
}

// post sends a form as the client that this installation is. The error is a
// *refusal if the provider answered one.
func (p *Provider) post(ctx context.Context, d *discovered, to string, form url.Values, into any) error {
	secret, err := p.settings.secret()
	if err != nil {
		return err
	}
	inForm := secret == "" || slices.Contains(d.AuthMethods, "client_secret_post") && !slices.Contains(d.AuthMethods, "client_secret_basic")
	if inForm {
		form.Set("client_id", p.settings.ClientID)
		if secret != "" {
			form.Set("client_secret", secret)
		}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if !inForm {
		r.SetBasicAuth(url.QueryEscape(p.settings.ClientID), url.QueryEscape(secret))
	}
	return p.do(r, form, into)
}

// do sends the request and decodes its answer, an object in JSON. Nothing that
// was sent gets into an error, even if the provider repeats it.
func (p *Provider) do(r *http.Request, sent url.Values, into any) error {
	r.Header.Set("Accept", "application/json")
	answer, err := p.http.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }() // it was read
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	no := &refusal{Status: answer.StatusCode}
	// An answer that is no JSON has no code.
	if json.Unmarshal(body, no) != nil {
		no.Code, no.Text = "", ""
	}
	if answer.StatusCode != http.StatusOK || no.Code != "" {
		for _, values := range sent {
			for _, v := range values {
				if len(v) >= 8 && strings.Contains(no.Code+" "+no.Text, v) {
					no.Code, no.Text = "", ""
				}
			}
		}
		return no
	}
	if err := json.Unmarshal(body, into); err != nil {
		return errors.New("the provider's answer is not the JSON that was expected")
	}
	return nil
}
