package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// exitNotPromoted ends a status --follow of a launch that was called off.
const exitNotPromoted exitError = 3

// followEvery is how often a launch that is followed is asked after.
const followEvery = time.Second

// follow prints the events of a launch until it has ended. A server that cannot
// be reached for a while does not end it.
func (a *app) follow(ctx context.Context, c *client.Client, l config.Launch) error {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	var last config.LaunchEvent
	reached := true
	for {
		for _, e := range eventsAfter(l.Events, last) {
			if err := a.printEvent(e); err != nil {
				return err
			}
			last = e
		}
		if l.State == config.LaunchPromoted {
			return nil
		}
		if l.State.Ended() {
			return exitNotPromoted
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		next, err := c.Launch(ctx, l.Tenant, l.ID)
		switch kind := config.KindOf(err); {
		case err == nil:
			l, reached = next, true
		case kind != config.Unavailable && kind != config.Timeout && kind != config.Throttled:
			return err
		case reached:
			a.note("the server cannot be reached (%v); trying on", err)
			reached = false
		}
	}
}

// eventsAfter returns the events that came after the last one known. In a long
// history that one may have been forgotten.
func eventsAfter(events []config.LaunchEvent, last config.LaunchEvent) []config.LaunchEvent {
	same := func(e config.LaunchEvent) bool {
		return e.At.Equal(last.At) && e.What == last.What && e.By == last.By && e.Share == last.Share && e.Slot == last.Slot
	}
	for i := len(events) - 1; i >= 0; i-- {
		if same(events[i]) {
			return events[i+1:]
		}
	}
	first := slices.IndexFunc(events, func(e config.LaunchEvent) bool { return e.At.After(last.At) })
	if first < 0 {
		return nil
	}
	return events[first:]
}

func (a *app) printEvent(e config.LaunchEvent) error {
	switch a.flags.output {
	case "json":
		return json.NewEncoder(a.env.Stdout).Encode(e)
	case "yaml":
		fmt.Fprintln(a.env.Stdout, "---")
		return a.encode(e)
	}
	text := when(e.At) + "  " + e.What
	if claimed := claimedText(e); claimed != "" {
		text += " " + claimed
	}
	text += " by " + e.By
	if e.Why != "" {
		text += ": " + e.Why
	}
	_, err := fmt.Fprintln(a.env.Stdout, clean(text))
	return err
}
