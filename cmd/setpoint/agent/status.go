package agent

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// statusReport is what the status file says.
type statusReport struct {
	PID       int           `json:"pid"`
	Instance  string        `json:"instance"`
	Version   string        `json:"version"`
	StartedAt time.Time     `json:"started_at"`
	WrittenAt time.Time     `json:"written_at"`
	Connected bool          `json:"connected"`
	Stale     float64       `json:"stale_seconds"`
	Error     string        `json:"error,omitempty"`
	FromCache bool          `json:"from_cache"`
	Revision  config.Token  `json:"revision,omitempty"`
	Received  time.Time     `json:"received_at,omitzero"`
	Groups    []groupReport `json:"groups"`
}

type groupReport struct {
	Name     string          `json:"name"`
	State    verdict         `json:"state"`
	Since    time.Time       `json:"since,omitzero"`
	Why      string          `json:"why,omitempty"`
	Attempts int             `json:"attempts,omitempty"`
	RetryAt  time.Time       `json:"retry_at,omitzero"`
	Configs  []configVersion `json:"configs"`
	Files    []string        `json:"files"`
}

type configVersion struct {
	Path    config.Path `json:"path"`
	Version int64       `json:"version"`
}

// describe fills in what the keeper knows.
func (s *statusReport) describe(k *keeper) {
	s.FromCache, s.Revision, s.Received = k.served.fromCache, k.served.revision, k.served.received
	s.Groups = nil
	for _, g := range k.groups {
		r := groupReport{Name: g.Name, State: g.verdict, Since: g.since, Attempts: g.attempts, Configs: []configVersion{}}
		if g.why != nil {
			r.Why = reason(g.why)
		}
		if g.verdict == retrying {
			r.RetryAt = g.next
		}
		for _, p := range sortedPaths(g.versions) {
			r.Configs = append(r.Configs, configVersion{p, g.versions[p]})
		}
		for _, t := range g.targets {
			r.Files = append(r.Files, t.To)
		}
		s.Groups = append(s.Groups, r)
	}
}

// link fills in how the servers are reached.
func (s *statusReport) link(now client.Status) {
	s.Connected, s.Stale, s.Error = now.Connected, now.Stale.Seconds(), ""
	if now.Err != nil {
		s.Error = now.Err.Error()
	}
}

// write replaces the status file.
func (s *statusReport) write(name string) error {
	s.WrittenAt = time.Now().UTC()
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		return err
	}
	return writeFile(name, append(text, '\n'), defaultMode)
}

// notify tells systemd, if it has started the agent, how the agent is: the
// protocol of sd_notify(3).
func notify(getenv func(string) string, state string) error {
	socket := getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte(state))
	return err
}
