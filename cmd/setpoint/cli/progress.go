package cli

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// progress is a bar on a terminal; elsewhere it draws nothing.
type progress struct {
	w           io.Writer
	noun        string
	done, total int
	drawn       time.Time
	on          bool
}

func (a *app) newProgress(noun string, total int) *progress {
	_, tty := terminal(a.env.Stderr)
	p := &progress{w: a.env.Stderr, noun: noun, total: total, on: tty && !a.flags.quiet && total > 0}
	p.add(0)
	return p
}

// add counts n more things as done.
func (p *progress) add(n int) {
	p.done += n
	const often = 50 * time.Millisecond // a terminal is slow: redraw for the eye only
	if !p.on || time.Since(p.drawn) < often {
		return
	}
	p.drawn = time.Now()
	const width = 30
	filled := width * min(p.done, p.total) / p.total
	fmt.Fprintf(p.w, "\r[%s%s] %d/%d %s", strings.Repeat("#", filled), strings.Repeat(".", width-filled), p.done, p.total, p.noun)
}

// clear takes the bar away.
func (p *progress) clear() {
	if p.on {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.on = false
	}
}
