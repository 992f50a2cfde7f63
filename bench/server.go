package bench

import (
	"context"
	"errors"
	"io"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// ServerCommand is the first argument of a process that is to be a server.
const ServerCommand = "server"

// Node is how to reach a server as its administrator. It is only ever said by a
// child to its parent.
type Node struct {
	URL         string `json:"url"`
	Admin       string `json:"admin"` // base URL of the admin port
	Fingerprint string `json:"fingerprint"`
	Username    string `json:"username"`
	Password    string `json:"password"`
	// GRPC is where gRPC has a port of its own, host:port; "" for nowhere.
	GRPC string `json:"grpc,omitempty"`
}

func (n Node) options() *client.Options {
	return &client.Options{
		Endpoints: []string{n.URL}, TLS: client.TLS{Fingerprint: n.Fingerprint},
		Username: n.Username, Password: config.NewSecret(n.Password),
	}
}

// Setup says what the server that is to be measured is like.
type Setup struct {
	Dir string `json:"dir"` // where it keeps its data
	// Protocols are spoken beside REST, as far as the build has them.
	Protocols []string `json:"protocols,omitempty"`
	// GRPC is where gRPC is to have a port of its own, host:port; "" for nowhere.
	GRPC string `json:"grpc,omitempty"`
	// JWKS is a file with the keys of Issuer, whose tokens the server then takes.
	JWKS string `json:"jwks,omitempty"`
	// Cluster is what it is a member of; nil for a lone node.
	Cluster *ClusterSetup `json:"cluster,omitempty"`
}

// ClusterSetup is one node's part in a cluster.
type ClusterSetup struct {
	Name    string   `json:"name"`
	Members []string `json:"members"`  // name=host:port
	CertDir string   `json:"cert_dir"` // of ca.pem, NAME.pem and NAME-key.pem
}

// serverProcess is a server that was started to be measured.
type serverProcess struct {
	*process
	node Node
}

func (r *run) startServer(ctx context.Context, setup Setup) (*serverProcess, error) {
	s := &serverProcess{}
	var err error
	s.process, err = r.start(ctx, []string{ServerCommand}, setup, &s.node)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Serve is the process of a server that is to be measured. run keeps a server
// in the directory until its ctx ends, and calls ready once it serves. Serve
// returns when run has; a read of in may then still be under way, which only
// the end of in, or of the process, ends.
func Serve(ctx context.Context, in io.Reader, out io.Writer, run func(ctx context.Context, setup Setup, ready func(Node) error) error) error {
	t := newTalk(in, out)
	var setup Setup
	if err := t.hear(&setup); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { cancel(t.end()) }()
	err := run(ctx, setup, func(n Node) error { return t.say(n) })
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		err = errors.Join(err, cause)
	}
	return err
}
