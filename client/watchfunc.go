package client

import (
	"context"
	"errors"
)

// WatchFunc calls f with each Event of Watch, for as long as ctx lives and f
// returns nil. It returns the error of f or that which ended the watch, which
// may be that of ctx.
func (c *Client) WatchFunc(ctx context.Context, r WatchRequest, f func(Event) error) error {
	for event, err := range c.Watch(ctx, r) {
		if err != nil {
			return err
		}
		if err := f(event); err != nil {
			return err
		}
	}
	return nil
}

// WatchChan sends each Event of Watch on a channel, which it closes at the end.
// The function ends the watch, if it has not ended, waits until it has, and
// returns what ended it: nil if the function did. It must be called.
func (c *Client) WatchChan(ctx context.Context, r WatchRequest) (events <-chan Event, end func() error) {
	inner, cancel := context.WithCancelCause(ctx)
	feed, ended := make(chan Event), make(chan error, 1) // room, so that nobody need ask
	go func() {
		defer close(feed)
		ended <- c.WatchFunc(inner, r, func(e Event) error {
			select {
			case feed <- e:
				return nil
			case <-inner.Done():
				return context.Cause(inner)
			}
		})
	}()
	return feed, func() error {
		cancel(errStopped)
		for range feed {
		}
		err := <-ended
		ended <- err // for who asks again
		if errors.Is(err, errStopped) {
			return nil
		}
		return err
	}
}
