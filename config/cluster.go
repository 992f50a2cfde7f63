package config

import "time"

// Role is what a node is to the cluster.
type Role string

// The roles of nodes.
const (
	// Voter holds the data and takes part in every decision.
	Voter Role = "voter"
	// Learner holds the data, or is still fetching it, and does not vote yet.
	Learner Role = "learner"
	// Edge holds no data of its own and serves from that of the members.
	Edge Role = "edge"
)

// Node is one server of the installation, as it describes itself or, if it does
// not answer, as the others know it.
type Node struct {
	Name string `json:"name"`
	// ID is the engine's own number of a member, in hexadecimal; edges have none.
	ID   string `json:"id,omitempty"`
	Role Role   `json:"role"`
	// Leader says that the members decided to follow this one.
	Leader bool `json:"leader"`
	// Self says that this node gave the answer.
	Self bool `json:"self"`
	// Healthy says that it answered and has nothing to complain about; if not,
	// Problems say why, in words.
	Healthy  bool     `json:"healthy"`
	Problems []string `json:"problems,omitempty"`
	// Peer is the host:port where the other nodes reach it, URL where clients do.
	Peer      string    `json:"peer,omitempty"`
	URL       string    `json:"url,omitempty"`
	Version   string    `json:"version,omitempty"`
	StartedAt time.Time `json:"started_at,omitzero"`
	// Revision is the position that it serves.
	Revision Token `json:"revision,omitempty"`
	// Lag is how many revisions it serves less than the furthest node.
	Lag int64 `json:"lag"`
	// Stale is for how long what it serves has not been confirmed by a majority.
	Stale Seconds `json:"stale_seconds"`
	// Store is what the engine's data takes up on disk and how much of that is in use.
	StoreSize int64 `json:"store_size"`
	StoreUsed int64 `json:"store_used"`
	// DiskFree and DiskTotal are those of the file system of the data, in bytes.
	DiskFree  int64 `json:"disk_free"`
	DiskTotal int64 `json:"disk_total"`
	// Watchers is how many watches clients have open on it.
	Watchers int `json:"watchers"`
	// CertificateExpires is when the certificate that it shows to other nodes ends.
	CertificateExpires time.Time `json:"certificate_expires,omitzero"`
	// ClockOffset is how far its clock is ahead of that of the node that answers.
	ClockOffset Seconds `json:"clock_offset_seconds"`
}

// Seconds is a duration that is written as a number of seconds.
type Seconds float64

// ClusterStatus is how the installation is doing.
type ClusterStatus struct {
	// ID is the installation's.
	ID string `json:"id"`
	// Leader is the name of the member that the others follow; empty if there is
	// none at the moment.
	Leader string `json:"leader,omitempty"`
	// Writable says whether changes are taken; if not, Problems say why.
	Writable bool     `json:"writable"`
	Problems []string `json:"problems,omitempty"`
	Nodes    []Node   `json:"nodes"`
}

// Invitation is where and whom to join.
type Invitation struct {
	Addresses   []string `json:"addresses"`   // host:port of peer ports
	Fingerprint string   `json:"fingerprint"` // SHA-256 of the authority's certificate, in lower-case hex
}

// JoinToken lets one new node in.
type JoinToken struct {
	ID        string    `json:"id"`
	Edge      bool      `json:"edge"`
	CreatedAt time.Time `json:"created_at"`
	CreatedBy string    `json:"created_by"`
	ExpiresAt time.Time `json:"expires_at"`
	// UsedBy is the name of the node that it let in.
	UsedBy string `json:"used_by,omitempty"`
}
