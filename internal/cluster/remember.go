package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/pki"
)

// folder is where a node keeps what it knows of its cluster, below its data
// directory, and identityFile the name of the file there.
const (
	folder       = "cluster"
	identityFile = "identity.json"
)

// remembered is what a node knows of itself and its cluster from earlier runs.
type remembered struct {
	// Format is that of the newest program that has run here, Version its own.
	Format  int    `json:"format"`
	Version string `json:"version"`
	Name    string `json:"name"`
	Edge    bool   `json:"edge,omitempty"`
	// Token is what keeps clusters apart.
	Token string `json:"token"`
	// Joined says that it was let in by other nodes.
	Joined bool `json:"joined,omitempty"`
	// Cluster is the engine's number of the cluster, in hexadecimal; empty until
	// the engine has run.
	Cluster string `json:"cluster,omitempty"`
	// Members are those that it last knew of.
	Members []member `json:"members,omitempty"`
}

func (r *remembered) check() error {
	if r.Name == "" || r.Token == "" {
		return errors.New("the name or the token is missing")
	}
	return checkMembers(r.Members)
}

// memory holds what is remembered and its file.
type memory struct {
	file string

	mu      sync.Mutex
	current remembered
	known   bool          // there is anything
	written bool          // and the file says the same
	changed chan struct{} // closed and replaced when the members change
}

// recall reads what is remembered in a data directory.
func recall(dataDir string) (*memory, error) {
	m := &memory{file: filepath.Join(dataDir, folder, identityFile), changed: make(chan struct{})}
	content, err := os.ReadFile(m.file)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return nil, config.Errorf(config.Unavailable, "start", m.file, "what this node knows of its cluster cannot be read: %w", err)
	}
	if err := decode(bytes.NewReader(content), maxBody, &m.current); err != nil {
		return nil, config.Errorf(config.Invalid, "start", m.file, "what this node knows of its cluster is damaged: %w; take the file from a copy of the data directory, or remove the member and let it join anew with an empty one", err)
	}
	m.known, m.written = true, true
	return m, nil
}

// get returns what is remembered; false if that is nothing.
func (m *memory) get() (remembered, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.current
	r.Members = slices.Clone(r.Members)
	return r, m.known
}

// members are those that were last known, and a channel that is closed when
// there is news.
func (m *memory) members() ([]member, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.current.Members), m.changed
}

// update changes what is remembered. It is in force even if it cannot be
// written; then the next update tries again.
func (m *memory) update(change func(*remembered)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := m.current
	next.Members = slices.Clone(next.Members)
	change(&next)
	moved := !slices.Equal(next.Members, m.current.Members)
	if m.written && !moved && next.sameBut(m.current) {
		return nil
	}
	m.current, m.known, m.written = next, true, false
	if moved {
		close(m.changed)
		m.changed = make(chan struct{})
	}
	content, err := json.MarshalIndent(next, "", "  ")
	if err == nil {
		err = pki.WriteFile(m.file, append(content, '\n'), pki.SecretMode)
	}
	if err != nil {
		return config.Errorf(config.Unavailable, "remember the cluster", m.file, "%w", err)
	}
	m.written = true
	return nil
}

// sameBut compares all but the members.
func (r *remembered) sameBut(o remembered) bool {
	return r.Format == o.Format && r.Version == o.Version && r.Name == o.Name && r.Edge == o.Edge &&
		r.Token == o.Token && r.Joined == o.Joined && r.Cluster == o.Cluster
}

// checkSelf refuses settings that are not of the node whose data directory it is.
func (r remembered) checkSelf(s *Settings, dataDir string) error {
	refuse := func(key, text string, args ...any) error {
		return config.Errorf(config.Invalid, "start", key, text, args...)
	}
	switch {
	case r.Format > DataFormat:
		return refuse(dataDir, "its data was written by Setpoint %s, in a newer format (%d) than this program knows (%d); start a program at least as new", clip(r.Version), r.Format, DataFormat)
	case r.Name != s.Name:
		return refuse("cluster.name", "is %s, but %s is the data directory of the node %s; set the name back, or give this node a data_dir of its own", s.Name, dataDir, r.Name)
	case r.Edge && !s.Edge:
		return refuse("cluster.edge", "is false, but %s is the data directory of an edge; let the node join as a member with an empty data_dir", dataDir)
	case !r.Edge && s.Edge:
		return refuse("cluster.edge", "is true, but %s is the data directory of a member; give the edge an empty data_dir", dataDir)
	case r.Token != s.Token && (!r.Joined || s.Token != defaultToken):
		return refuse("cluster.token", "is %q, but %s is the data directory of a node of the cluster %q; set the token back, or give this node an empty data_dir", clip(s.Token), dataDir, clip(r.Token))
	}
	return nil
}
