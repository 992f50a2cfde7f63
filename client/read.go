package client

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// ReadOptions bound how old an answer may be. The zero value takes what the
// node has.
type ReadOptions struct {
	// ETag of what the caller holds; if it is still current no content comes.
	ETag string
	// MinRevision makes the read wait until the node has caught up with it.
	MinRevision config.Token
	// Strong asks the store for a linearizable read point first.
	Strong bool
}

func (o ReadOptions) request(path string) request {
	strong := ""
	if o.Strong {
		strong = "strong"
	}
	r := request{method: http.MethodGet, path: path, query: values("min_revision", string(o.MinRevision), "consistency", strong)}
	if o.ETag != "" {
		r.header = http.Header{"If-None-Match": {o.ETag}}
	}
	return r
}

// Served is a config as an application gets it.
type Served struct {
	Path      config.Path
	Version   int64
	Format    string
	MediaType string
	ETag      string
	// Revision is how current the answer is.
	Revision config.Token
	// NotModified says that what has ReadOptions.ETag is still current; Content
	// is nil then.
	NotModified bool
	// Stale is for how long the node that answered has been cut off from the
	// others, and so how old the answer may be; 0 if it is not.
	Stale   time.Duration
	Content []byte
}

// Get returns the bytes of one config, exactly as they were published.
func (c *Client) Get(ctx context.Context, path config.Path, o ReadOptions) (Served, error) {
	if err := path.Require(config.LevelConfig); err != nil {
		return Served{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	resp, err := c.send(ctx, o.request(served(path)))
	if err != nil {
		return Served{}, err
	}
	defer resp.Body.Close()
	s := Served{
		Path: path, Format: resp.Header.Get("Setpoint-Format"), MediaType: resp.Header.Get("Content-Type"),
		ETag: resp.Header.Get("ETag"), Revision: config.Token(resp.Header.Get("Setpoint-Revision")),
		NotModified: resp.StatusCode == http.StatusNotModified, Stale: staleness(resp.Header),
	}
	s.Version, _ = strconv.ParseInt(resp.Header.Get("Setpoint-Version"), 10, 64)
	if s.NotModified {
		s.ETag = orDefault(s.ETag, o.ETag)
		return s, nil
	}
	if s.Content, err = readAll(resp.Body, maxAnswer); err != nil {
		return Served{}, unreached(resp.Request.URL, err)
	}
	return s, nil
}

// Snapshot is everything that an env serves, at one revision.
type Snapshot struct {
	Env      config.Path  `json:"env"`
	Revision config.Token `json:"revision"`
	Configs  []Release    `json:"configs"`
	// ETag stands for the whole; NotModified and Stale are as in Served.
	ETag        string        `json:"-"`
	NotModified bool          `json:"-"`
	Stale       time.Duration `json:"-"`
}

// Release is an immutable published version of a config.
type Release struct {
	config.Release
	Content []byte `json:"-"`
}

// Snapshot returns all configs of an env, consistent with each other.
func (c *Client) Snapshot(ctx context.Context, env config.Path, o ReadOptions) (Snapshot, error) {
	if err := env.Require(config.LevelEnv); err != nil {
		return Snapshot{}, err
	}
	var wire struct {
		Env      config.Path   `json:"env"`
		Revision config.Token  `json:"revision"`
		Configs  []wireRelease `json:"configs"`
	}
	a, err := c.call(ctx, o.request(served(env)), &wire)
	if err != nil {
		return Snapshot{}, err
	}
	s := Snapshot{
		Env: env, ETag: orDefault(a.header.Get("ETag"), o.ETag), NotModified: a.notModified, Stale: staleness(a.header),
		Revision: orDefault(wire.Revision, config.Token(a.header.Get("Setpoint-Revision"))), Configs: []Release{},
	}
	for _, w := range wire.Configs {
		s.Configs = append(s.Configs, w.release())
	}
	return s, nil
}

// Version tells what the server runs.
type Version struct {
	Version string `json:"version"`
	Go      string `json:"go"`
}

// Version asks the server for its version.
func (c *Client) Version(ctx context.Context) (Version, error) {
	var v Version
	_, err := c.call(ctx, request{method: http.MethodGet, path: "/v1/version"}, &v)
	return v, err
}
