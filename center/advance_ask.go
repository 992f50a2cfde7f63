package center

import (
	"context"
	"sync"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/view"
)

const (
	// A gate's instances are asked about this often; less often if there are many
	// configs to ask about, so that all together take a bounded part of each node's
	// time.
	askInterval  = time.Second
	askPerConfig = 20 * time.Millisecond
	// askPatience bounds one question to the cluster.
	askPatience = 5 * time.Second
)

// gated reports whether what instances say can change what becomes of the launch.
func (c *course) gated() bool {
	return c.launch.Gate != nil && (c.launch.State == config.LaunchRunning || c.launch.State == config.LaunchPaused)
}

// asks is how many configs there are to ask about.
func (p *pilot) asks() (n int) {
	for _, course := range p.courses {
		if course.gated() {
			n += len(course.launch.Items)
		}
	}
	return n
}

// interval is how often each gated launch is asked about.
func (p *pilot) interval() time.Duration {
	return max(askInterval, time.Duration(p.asks())*askPerConfig)
}

// ask finds out what instances say of the launches that have a gate. When
// something was reported it is worth asking sooner.
func (p *pilot) ask(ctx context.Context, hurry bool) {
	interval, now := p.interval(), p.center.now()
	if hurry {
		interval /= 2
	}
	p.asked = now
	if p.asks() == 0 {
		clear(p.silent) // nobody will notice who answers again
	}
	heard := hearing{silent: map[string]bool{}}
	var due []*course
	for _, course := range p.courses {
		if since := now.Sub(course.asked); course.gated() && (since < 0 || since >= interval) {
			course.asked = now
			due = append(due, course)
		}
	}
	atOnce(due, func(i int) {
		var silent []string
		var err error
		due[i].reported, silent, err = p.center.hear(ctx, due[i].launch)
		heard.add(silent, err)
	})
	p.note(ctx, &heard)
}

// fresh reports whether what instances said is known from just now: what gives
// clients something new is not to rest on less.
func (p *pilot) fresh(c *course, now time.Time) bool {
	return c.asked.Equal(p.asked) || now.Sub(c.asked) < askInterval
}

// hearing is what one round of questions says of the nodes.
type hearing struct {
	mu      sync.Mutex
	answers int
	silent  map[string]bool
	err     error
}

func (h *hearing) add(silent []string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.err = err
		return
	}
	h.answers++
	for _, node := range silent {
		h.silent[node] = true
	}
}

// note keeps since when which nodes have been silent.
func (p *pilot) note(ctx context.Context, h *hearing) {
	if h.err != nil && ctx.Err() == nil {
		p.center.log.WarnContext(ctx, "it cannot be found out what instances say of a launch; trying again", "error", h.err)
	}
	if h.answers == 0 {
		return
	}
	for node := range p.silent {
		if !h.silent[node] {
			delete(p.silent, node)
		}
	}
	now := p.center.now()
	for node := range h.silent {
		if _, known := p.silent[node]; !known {
			p.silent[node] = now
		}
	}
}

// silence is since when the node has been silent that fell silent last. This one
// counts as silent for a while if it was started within the launch's step: what
// it had been told before, it has forgotten.
func (p *pilot) silence(l *view.Launch, now time.Time) (last time.Time) {
	for _, since := range p.silent {
		if since.After(last) {
			last = since
		}
	}
	if started := p.center.started; l.StepAt.Before(started) && now.Sub(started) < silencePatience && started.After(last) {
		last = started
	}
	return last
}

// hear adds up what all instances say of a launch, and names the nodes that did
// not answer.
func (c *Center) hear(ctx context.Context, l *view.Launch) (*reported, []string, error) {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	var sum tallier
	var silent []string
	for _, item := range l.Items {
		receipts, unheard, err := c.receipts(ctx, item.Path, item.Version)
		if err != nil {
			return nil, nil, err
		}
		sum.add(item.Path, receipts)
		silent = append(silent, unheard...)
	}
	return sum.sum(), silent, nil
}
