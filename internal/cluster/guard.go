package cluster

import (
	"context"
	"log/slog"
	"time"

	"github.com/setpointhq/setpoint/plugin"
	"github.com/setpointhq/setpoint/store"
)

const (
	// guardPause is between two looks at the disk, and guardPatience how long the
	// engine may take to tell the others.
	guardPause    = time.Second
	guardPatience = 5 * time.Second
)

// Guard has the engine refuse changes before the disk of this node is full, and
// take them again once there is room. Once full, a disk would stop the engine,
// and what frees room is itself a change.
type Guard struct {
	Keeper store.Keeper
	// Dir is a folder on the file system that is watched, Reserve how much of it
	// must stay free; 0 for nothing.
	Dir     string
	Reserve plugin.Size
	Log     *slog.Logger

	// space replaces the look at the disk in tests.
	space func(dir string) (free, total int64, err error)
}

// Run watches until ctx ends.
func (g *Guard) Run(ctx context.Context) error {
	look := g.space
	if look == nil {
		look = diskSpace
	}
	tick := time.NewTicker(guardPause)
	defer tick.Stop()
	var state guardState
	for {
		g.look(ctx, look, &state)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// guardState is what the guard has found and told.
type guardState struct {
	full    bool   // the disk is
	told    bool   // the engine knows that it is
	blind   bool   // the disk cannot be looked at
	refused string // why the engine does not go along; empty if it does
}

// look looks at the disk once. Between the reserve and a quarter more it leaves
// things as they are, so that they do not change every second.
func (g *Guard) look(ctx context.Context, space func(string) (free, total int64, err error), s *guardState) {
	free, _, err := space(g.Dir)
	if err != nil && !s.blind {
		g.Log.Warn("it cannot be told how full the disk is; nothing keeps it from filling up", "dir", g.Dir, "error", err)
	}
	if s.blind = err != nil; s.blind {
		return
	}
	reserve := int64(g.Reserve)
	full := free < reserve || s.full && free < reserve+reserve/4
	s.full = full

	telling, cancel := context.WithTimeout(ctx, guardPatience)
	defer cancel()
	// Told even if nothing changed: the engine stops by itself when its quota is
	// used up, and does not go on by itself.
	if err := g.Keeper.SetNoSpace(telling, full); err != nil {
		if text := err.Error(); text != s.refused && ctx.Err() == nil {
			s.refused = text
			g.Log.Warn("the engine does not go along with what the disk has room for", "full", full, "error", err)
		}
		return
	}
	switch {
	case full && !s.told:
		g.Log.Error("the disk is nearly full: changes are refused on all nodes until there is room", "dir", g.Dir, "free", roughSize(free), "reserve", g.Reserve.String())
	case !full && s.told:
		g.Log.Info("there is room on the disk again: changes are taken", "dir", g.Dir, "free", roughSize(free))
	}
	s.told, s.refused = full, ""
}
