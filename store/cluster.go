package store

import (
	"context"
	"io"
	"net"
	"net/http"
)

// Peering is what the engine of one node needs to meet those of the others.
type Peering struct {
	// Name is this node's, unique in the cluster.
	Name string
	// Advertise is the host:port at which the other nodes reach this one.
	Advertise string
	// Members are the cluster's members and where they are reached, name to
	// host:port: this node among them, unless it is an Edge. An engine that has
	// data already knows better and does not look at them.
	Members map[string]string
	// Join says that the cluster exists and that this node was added to it.
	Join bool
	// Edge says that this node keeps no data and uses the members' engines.
	Edge bool
	// Token keeps clusters apart that reach each other by mistake.
	Token string
	// CertFile, KeyFile and CAFile are PEM files: what this node shows, and the
	// authorities that may vouch for other nodes. They may change at any time.
	CertFile, KeyFile, CAFile string
	// Port is where other nodes call; nil for an Edge.
	Port PeerPort
}

// PeerPort is the port at which nodes meet. Whoever gets through it has shown a
// certificate that the cluster's authority issued.
type PeerPort interface {
	// HandleHTTP has h answer what comes over HTTP/1.1 and is not for the node
	// itself. Until it is called the port answers 503.
	HandleHTTP(h http.Handler)
	// ListenHTTP2 returns a listener that yields the connections that speak
	// HTTP/2, TLS being done. Until it is called, and once it is closed, the port
	// refuses them.
	ListenHTTP2() net.Listener
}

// Member is one of the servers that an engine consists of.
type Member struct {
	ID   uint64
	Name string // empty until it has started for the first time
	// Peer is the host:port at which the others reach it.
	Peer    string
	Learner bool
	// Started says that it has been running at least once.
	Started bool
}

// EngineStatus is what the member of this node says of itself.
type EngineStatus struct {
	ClusterID, MemberID uint64
	// Leader is the member's that the others follow; 0 if this one knows none.
	Leader  uint64
	Term    uint64
	Applied uint64 // entries of the log that this member has applied
	Learner bool
	Version string // the engine's
	// Total is the size on disk in bytes, InUse what of it is in use, Quota where
	// writes end.
	Total, InUse, Quota int64
	// NoSpace lists members that have no room: while there are any, nothing can
	// be written. Corrupt lists members whose data differs from that of the others.
	NoSpace, Corrupt []uint64
}

// Cluster is implemented by stores whose engine consists of members. Its errors
// are of the kinds of Store and, where the cluster's state forbids what is asked
// for, Conflict, with what would help.
type Cluster interface {
	// Members lists the members, as the majority knows them.
	Members(ctx context.Context) ([]Member, error)
	// AddLearner enters a new member that does not vote yet. Exists if the
	// address is a member's already; Conflict while another one is learning.
	AddLearner(ctx context.Context, peer string) (Member, error)
	// Promote lets a learner vote. Conflict while it lags too far behind.
	Promote(ctx context.Context, id uint64) error
	// Remove takes a member out for good. Conflict if the others would be too few.
	Remove(ctx context.Context, id uint64) error
	// MoveLeader hands the leadership over; only the leader's own node can.
	MoveLeader(ctx context.Context, to uint64) error
	// EngineStatus tells how this node's member is doing, without asking others.
	EngineStatus(ctx context.Context) (EngineStatus, error)
}

// Keeper is implemented by stores whose engine on this node needs looking after.
type Keeper interface {
	// Defragment gives unused space of this node's data back to the file system.
	// The member answers nothing meanwhile: one at a time.
	Defragment(ctx context.Context) error
	// SetNoSpace tells all members that this one has no room, or has room again.
	// While any has none, Commit fails with Exhausted on every node.
	SetNoSpace(ctx context.Context, full bool) error
}

// Elector is implemented by stores that can give an office to one node of many.
type Elector interface {
	// Campaign waits until the candidate holds the office. Terms end when the
	// holder resigns, or by themselves within seconds when its node dies or is
	// cut off. The errors are those of ctx and the store.
	Campaign(ctx context.Context, office, candidate string) (Term, error)
}

// Term is the time for which one node holds an office.
type Term interface {
	// Fence holds for as long as the term lasts: as a condition of a Commit it
	// keeps a holder that does not know of its end from changing anything.
	Fence() Cond
	// Done is closed when the term is over, or may be.
	Done() <-chan struct{}
	// Resign ends the term, so that another candidate need not wait.
	Resign(ctx context.Context) error
}

// Snapshotter is implemented by stores that can write out all that they hold.
type Snapshotter interface {
	// Snapshot writes everything, as of one revision, which it returns. Commits
	// and reads go on meanwhile.
	Snapshot(ctx context.Context, w io.Writer) (revision int64, err error)
}

// Prefixed is implemented by stores that keep their entries below a part of the
// engine's keys: whoever reads the engine's snapshot must know it.
type Prefixed interface {
	// KeyPrefix is what the engine's keys of all entries begin with.
	KeyPrefix() string
}

// Restore says what to make of a snapshot.
type Restore struct {
	// Snapshot is the name of a file with what a Snapshotter has written.
	Snapshot string
	// DataDir is the node's directory; the engine's in it must not exist yet.
	DataDir string
	// Peering is that of the new cluster's founding node; nil for a lone one.
	Peering *Peering
	// Bump is added to the revision, so that no revision that was given out
	// after the snapshot is given out again.
	Bump int64
}

// Restorer is implemented by drivers that can make data of a snapshot.
type Restorer interface {
	// Check reads all of a snapshot. Invalid if it is damaged or none of this
	// engine's. Each entry that it holds is given to see, in key order.
	Check(ctx context.Context, snapshot string, see func(Entry) error) (revision int64, err error)
	// Restore makes the engine's data of a snapshot, whole or not at all.
	Restore(ctx context.Context, r Restore) error
}
