package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/pki"
)

const (
	// joinPause is between two attempts to be let in.
	joinPause = time.Second
	// joinPatience is how long one attempt may take: the engine's majority has to
	// agree.
	joinPatience = 20 * time.Second
	// tellPause is between two lines in the log that say what is waited for.
	tellPause = 30 * time.Second
)

func (c *Cluster) joinRequest() *joinRequest {
	s := &c.settings
	ask := &joinRequest{Name: s.Name, Edge: s.Edge, Version: c.options.Version, Format: DataFormat}
	if !s.Edge {
		ask.Peer, ask.Data = s.Advertise, c.options.HasData()
	}
	if s.Token != defaultToken {
		ask.ClusterToken = digest(s.Token)
	}
	return ask
}

// askToJoin asks one node after the other to let this one in, and waits for its
// turn. The error is the first that no waiting mends, or what every one of them
// said when the patience was over.
func (c *Cluster) askToJoin(ctx context.Context, calls *caller, ask *joinRequest) (*joinAnswer, error) {
	var told time.Time
	for {
		answer, err := c.askRound(ctx, calls, ask)
		if err == nil {
			return answer, checkAnswer(ask, answer)
		}
		if !errors.Is(err, errRetry) {
			return nil, err
		}
		if time.Since(told) > tellPause {
			told = time.Now()
			c.log.Info("waiting to join", "addresses", c.settings.Join, "reason", err)
		}
		if !pause(ctx, joinPause) {
			return nil, gaveUp(ctx, "join", err)
		}
	}
}

// askRound asks each node once. An error that passes Is errRetry.
func (c *Cluster) askRound(ctx context.Context, calls *caller, ask *joinRequest) (*joinAnswer, error) {
	var errs []error
	retry := false
	for _, addr := range c.settings.Join {
		answer, err := askOne(ctx, calls, addr, ask)
		if err == nil {
			return answer, nil
		}
		e := refusedJoin(addr, err)
		switch e.Kind {
		case config.Unsupported: // another one may
		case config.Unavailable, config.Timeout, config.Throttled, config.Internal:
			retry = retry || !untrusted(err)
		default:
			if !errors.Is(err, errRetry) {
				return nil, e
			}
			retry = true
		}
		errs = append(errs, e)
	}
	err := errors.Join(errs...)
	if retry {
		return nil, passing{err}
	}
	return nil, err
}

// refusedJoin is why a node did not let this one in.
func refusedJoin(addr string, err error) *config.Error {
	e := &config.Error{Op: "join", Path: addr, Kind: config.KindOf(err), Err: cause(err)}
	var pin *pki.PinError
	if errors.As(err, &pin) {
		e.Kind, e.Err = config.Denied, fmt.Errorf("the join token is for another cluster than the one there: %w", e.Err)
	}
	if e.Kind == config.Unauthenticated {
		e.Kind = config.Denied // it is not about a person, who would have to log in
	}
	return e
}

func askOne(ctx context.Context, calls *caller, addr string, ask *joinRequest) (*joinAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, joinPatience)
	defer cancel()
	var answer joinAnswer
	return &answer, calls.post(ctx, addr, "/node/join", ask, &answer)
}

// checkAnswer refuses an answer that does not hold what was asked for.
func checkAnswer(ask *joinRequest, answer *joinAnswer) error {
	bad := func(text string) error {
		return config.Errorf(config.Internal, "join", "", "the node that let this one in %s", text)
	}
	switch {
	case ask.Request != "" && (answer.CA == "" || answer.Certificate == ""):
		return bad("gave it no certificate")
	case answer.ClusterToken == "":
		return bad("does not say which cluster it is of")
	case !ask.Edge && !ask.Data && !slices.ContainsFunc(answer.Members, func(m member) bool { return m.Peer == ask.Peer }):
		return bad("did not enter it among the members")
	}
	return nil
}

// gaveUp is the error of a wait that ended: why, and what was waited for.
func gaveUp(ctx context.Context, op string, last error) error {
	if errors.Is(context.Cause(ctx), errStartWait) {
		return config.Errorf(config.Timeout, op, "", "%w: %w", errStartWait, last)
	}
	return &config.Error{Op: op, Kind: config.KindOf(ctx.Err()), Err: fmt.Errorf("%w while waiting: %w", ctx.Err(), last)}
}

// pause waits; false if ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// cause is an error without operation and kind, which are said already.
func cause(err error) error {
	if e, ok := errors.AsType[*config.Error](err); ok && e.Err != nil {
		return e.Err
	}
	return err
}
