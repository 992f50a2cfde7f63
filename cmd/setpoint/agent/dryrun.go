package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
	"unicode/utf8"

	"github.com/aymanbagabas/go-udiff"

	"github.com/setpointhq/setpoint/client"
)

// dryRun shows what would change, and changes nothing. Something that would
// change, or be refused, is an error.
func (a *agent) dryRun(ctx context.Context, out io.Writer) error {
	c, err := client.New(a.options)
	if err != nil {
		return err
	}
	defer c.Close()
	set, err := c.Open(ctx, client.SetOptions{Patterns: a.plan.patterns, Manual: true, StartWithin: time.Duration(a.settings.StartWithin)})
	if err != nil {
		return err
	}
	defer set.Close()
	served := newSnapshot(set.State()).configs
	changes, refusals := 0, 0
	for _, p := range a.plan.groups {
		g := &group{groupPlan: p, kit: kit{getenv: a.Getenv}}
		n, err := showGroup(out, g.render(served))
		changes += n
		if err != nil {
			refusals++
			fmt.Fprintf(out, "%s: would be refused: %v\n", p.Name, err)
		}
	}
	if changes+refusals > 0 {
		return fmt.Errorf("files that would change: %d; groups that would be refused: %d", changes, refusals)
	}
	return nil
}

func showGroup(out io.Writer, d desired) (changes int, err error) {
	if d.err != nil {
		return 0, d.err
	}
	for _, r := range d.files {
		same, err := r.inPlace()
		if err != nil {
			return changes, err
		}
		if same {
			continue
		}
		changes++
		if err := showFile(out, r); err != nil {
			return changes, err
		}
	}
	return changes, nil
}

// showFile prints how a file would change, as diff -u does.
func showFile(out io.Writer, r *rendering) error {
	now, err := os.ReadFile(r.To)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	before, after := r.To, r.To
	if err != nil {
		before = os.DevNull
	}
	if r.absent {
		after = os.DevNull
	}
	switch {
	case bytes.Equal(now, r.content) && before == after:
		fmt.Fprintf(out, "%s: the content stays; permissions or owner would change\n", r.To)
	case !utf8.Valid(now) || !utf8.Valid(r.content):
		fmt.Fprintf(out, "%s and %s differ, and are no text\n", before, after)
	default:
		text := udiff.Unified(before, after, string(now), string(r.content))
		if text == "" {
			text = fmt.Sprintf("--- %s\n+++ %s\n", before, after) // an empty file comes or goes
		}
		fmt.Fprint(out, text)
	}
	return nil
}
