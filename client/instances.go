package client

import (
	"context"
	"net/http"
	"slices"
	"strconv"

	"github.com/setpointhq/setpoint/config"
)

// InstanceList is who is there.
type InstanceList struct {
	Instances []config.Instance `json:"instances"`
	// Counts are, of a config, how many instances there are to each version, the
	// newest first, whatever filter was asked for.
	Counts []config.VersionCount `json:"counts,omitempty"`
	// Silent are the nodes that did not answer; their instances are missing.
	Silent []string `json:"silent,omitempty"`
}

// InstanceFilter asks for some of the instances of a config.
type InstanceFilter struct {
	// Version wants those that were sent it, or said something of it; 0 is any.
	Version int64
	// State wants those that said so of Version or, if that is 0, of what they were
	// sent: "applied", "refused" or "silent"; "" is any.
	State string
}

// Instances lists the clients that are watching an env or a config, on whatever
// node they are, by what they call themselves; of those that do, also who has
// read or reported it and is remembered.
func (c *Client) Instances(ctx context.Context, path config.Path) (InstanceList, error) {
	return c.FindInstances(ctx, path, InstanceFilter{})
}

// FindInstances is Instances for some of them.
func (c *Client) FindInstances(ctx context.Context, path config.Path, f InstanceFilter) (InstanceList, error) {
	all := InstanceList{Instances: []config.Instance{}}
	if path.Level() != config.LevelConfig {
		if err := path.Require(config.LevelEnv); err != nil {
			return all, err
		}
	}
	query := paged(values("state", f.State))
	if f.Version != 0 {
		query.Set("version", strconv.FormatInt(f.Version, 10))
	}
	for {
		var page struct {
			config.Page[config.Instance]
			Counts []config.VersionCount `json:"counts"`
			Silent []string              `json:"silent"`
		}
		if _, err := c.call(ctx, request{method: http.MethodGet, path: at(path, "instances"), query: query}, &page); err != nil {
			return all, err
		}
		all.Instances, all.Counts = append(all.Instances, page.Items...), page.Counts
		all.Silent = append(all.Silent, page.Silent...)
		slices.Sort(all.Silent)
		all.Silent = slices.Compact(all.Silent)
		if page.Next == "" {
			return all, nil
		}
		if page.Next == query.Get("after") {
			return all, config.Errorf(config.Internal, "list", path.String(), "the server's pages do not advance")
		}
		query.Set("after", page.Next)
	}
}

// Report is what became of one version of a config here.
type Report struct {
	Path    config.Path
	Version int64
	State   config.AckState // config.AckApplied or config.AckRefused
	// Why it was refused; the server keeps at most 1,000 bytes.
	Why string
}

// Report tells the server what this instance, which Options.Instance must name,
// applied or refused. A Set does so by itself. Of each 256 reports all are taken
// or none.
func (c *Client) Report(ctx context.Context, all []Report) error {
	for batch := range slices.Chunk(all, maxReports) {
		var in struct {
			Reports []report `json:"reports"`
		}
		for _, r := range batch {
			in.Reports = append(in.Reports, report{Path: r.Path, Version: r.Version, State: r.State, Why: clipWhy(r.Why)})
		}
		if _, err := c.call(ctx, request{method: http.MethodPost, path: "/v1/instances/report", in: in}, nil); err != nil {
			return err
		}
	}
	return nil
}
