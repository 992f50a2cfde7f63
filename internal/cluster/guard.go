package cluster

import (
	"context"
	"log/slog"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/disk"
	"github.com/setpointhq/setpoint/plugin"
	"github.com/setpointhq/setpoint/store"
)

const (
	// guardPause is between two looks at the disk, and guardPatience how long the
	// engine may take to tell the others.
	guardPause    = time.Second
	guardPatience = 5 * time.Second
)

// quotaFull is how full the store may be, in percent of its quota. The engine's own
// alarm comes with the change that crosses the quota, which it may have made all
// the same. Unused space inside that it fills first is worth quotaSlack percent.
const quotaFull, quotaSlack = 95, 5

// Guard has the engine refuse changes before the disk of this node is full or the
// store's quota is used up, and take them again once there is room. Once full, a
// disk would stop the engine, and what frees room is itself a change.
type Guard struct {
	Keeper store.Keeper
	// Engine tells how full the store is; nil if its quota is not watched.
	Engine store.Cluster
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
		look = disk.Space
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
	told    bool   // the engine knows that there is no room
	blind   bool   // the disk cannot be looked at
	refused string // why the engine does not go along; empty if it does
}

// used reports whether the store has come near its quota.
func (g *Guard) used(ctx context.Context) (s store.EngineStatus, full bool) {
	if g.Engine == nil {
		return s, false
	}
	s, err := g.Engine.EngineStatus(ctx)
	if err != nil || s.Quota <= 0 {
		return s, false // the engine watches its quota itself
	}
	return s, s.Total >= s.Quota/100*quotaFull && s.InUse >= s.Quota/100*(quotaFull-quotaSlack)
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
	s.full = free < reserve || s.full && free < reserve+reserve/4

	telling, cancel := context.WithTimeout(ctx, guardPatience)
	defer cancel()
	engine, used := g.used(telling)
	full := s.full || used
	// Told even if nothing changed: the engine stops by itself when its quota is
	// used up, and does not go on by itself.
	err = g.Keeper.SetNoSpace(telling, full)
	if config.KindOf(err) == config.Unsupported {
		return // the engine runs elsewhere, and looks after itself there
	}
	if err != nil {
		if text := err.Error(); text != s.refused && ctx.Err() == nil {
			s.refused = text
			g.Log.Warn("the engine does not go along with what there is room for", "full", full, "error", err)
		}
		return
	}
	switch {
	case full && !s.told && !s.full:
		g.Log.Error("the store's quota is nearly used up: changes are refused on all nodes until store.etcd.quota is raised, or old history goes by itself", "size", roughSize(engine.Total), "quota", roughSize(engine.Quota))
	case full && !s.told:
		g.Log.Error("the disk is nearly full: changes are refused on all nodes until there is room", "dir", g.Dir, "free", roughSize(free), "reserve", g.Reserve.String())
	case !full && s.told:
		g.Log.Info("there is room again: changes are taken", "dir", g.Dir, "free", roughSize(free))
	}
	s.told, s.refused = full, ""
}
