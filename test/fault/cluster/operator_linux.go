package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// invite makes a token to join with, in a file, and returns the flags of a node
// that uses it.
func (c *Cluster) invite(ctx context.Context, n, at *Node, edge bool) ([]string, error) {
	offer, err := at.Client().CreateJoinToken(ctx, client.NewJoinToken{Edge: edge})
	if err != nil {
		return nil, err
	}
	n.Process.Secret(offer.Secret)
	file := filepath.Join(c.o.Dir, n.Name+".token")
	if err := os.WriteFile(file, []byte(offer.Secret.Reveal()+"\n"), 0o600); err != nil {
		return nil, err
	}
	args := []string{"serve", "--name", n.Name, "--join", at.Peer(), "--token-file", file, "--advertise", n.Peer()}
	if edge {
		args = append(args, "--edge")
	}
	return args, nil
}

// Edge adds a node that holds no data, and waits until it is ready.
func (c *Cluster) Edge(ctx context.Context, name string) (*Node, error) {
	n, err := c.node(name)
	if err != nil {
		return nil, err
	}
	if n.Process.Args, err = c.invite(ctx, n, c.nodes[0], true); err != nil {
		return nil, err
	}
	// Joining certifies its name. Clients know it by its address.
	if err := c.issue(ctx, n); err != nil {
		return nil, err
	}
	n.Process.Env = append(n.Process.Env,
		"SETPOINT_TLS_CERT_FILE="+filepath.Join(c.certs, name+".pem"), "SETPOINT_TLS_KEY_FILE="+filepath.Join(c.certs, name+"-key.pem"))
	if err := n.login(c.token); err != nil {
		return nil, err
	}
	return n, n.Restart(ctx)
}

// Retire ends a node that holds no data, for good.
func (c *Cluster) Retire(n *Node) error {
	c.nodes = slices.DeleteFunc(c.nodes, func(o *Node) bool { return o == n })
	return n.close()
}

// Replace takes a member out that has ended, and lets it in anew, by a token and
// with an empty disk. It returns when the newcomer votes.
func (c *Cluster) Replace(ctx context.Context, n, by *Node) error {
	if err := by.Client().RemoveMember(ctx, n.Name); err != nil {
		return fmt.Errorf("remove %s: %w", n.Name, err)
	}
	if err := n.Wipe(); err != nil {
		return err
	}
	return c.admit(ctx, n, by)
}

// admit lets a node in whose disk is empty. It returns when the newcomer votes.
func (c *Cluster) admit(ctx context.Context, n, by *Node) (err error) {
	if n.Process.Args, err = c.invite(ctx, n, by, false); err != nil {
		return fmt.Errorf("invite %s: %w", n.Name, err)
	}
	if err := n.Restart(ctx); err != nil {
		return err
	}
	return Await(ctx, n.Name+" to vote", func() bool {
		s, err := by.Status(ctx)
		return err == nil && slices.ContainsFunc(s.Nodes, func(o config.Node) bool {
			return o.Name == n.Name && o.Role == config.Voter && o.Healthy
		})
	})
}

// RestoreAll makes the data of all members, which have ended and are wiped, of a
// backup, and has them found the cluster on that.
func (c *Cluster) RestoreAll(ctx context.Context, backup string) error {
	const bump = "1000000000"
	for _, n := range c.nodes {
		if _, err := c.Run(ctx, "restore", backup, "--data-dir", n.Data, "--name", n.Name, "--cluster", strings.Join(members(c.nodes), ","), "--bump", bump); err != nil {
			return err
		}
	}
	return c.found(ctx, c.nodes)
}

// RestoreOne makes the data of one member of a backup, has it found the cluster,
// and lets the others join, whose disks are empty.
func (c *Cluster) RestoreOne(ctx context.Context, backup string) error {
	first := c.nodes[0]
	if _, err := c.Run(ctx, "restore", backup, "--data-dir", first.Data, "--name", first.Name, "--cluster", members(c.nodes[:1])[0]); err != nil {
		return err
	}
	if err := c.found(ctx, c.nodes[:1]); err != nil {
		return err
	}
	for _, n := range c.nodes[1:] {
		if err := c.admit(ctx, n, first); err != nil {
			return err
		}
	}
	return nil
}

// found has nodes, which have ended, found a cluster on the data that they have,
// and waits until they are ready.
func (c *Cluster) found(ctx context.Context, nodes []*Node) error {
	for _, n := range nodes {
		n.Process.Args = append([]string{"serve"}, n.founding(members(nodes))...)
		if err := n.Launch(); err != nil {
			return err
		}
	}
	for _, n := range nodes {
		if err := n.Ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Compact drops the engine's history up to now, as it does by itself from time
// to time. It asks the engine of a member as another node does.
func (c *Cluster) Compact(ctx context.Context, at *Node) error {
	pair, err := tls.LoadX509KeyPair(filepath.Join(c.certs, at.Name+".pem"), filepath.Join(c.certs, at.Name+"-key.pem"))
	if err != nil {
		return err
	}
	authority, err := os.ReadFile(filepath.Join(c.certs, "ca.pem"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	engine, err := clientv3.New(clientv3.Config{
		Endpoints: []string{"https://" + at.Peer()}, DialTimeout: 5 * time.Second, Logger: zap.NewNop(),
		TLS: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS12},
	})
	if err != nil {
		return err
	}
	now, err := engine.Get(ctx, "/")
	if err == nil {
		_, err = engine.Compact(ctx, now.Header.Revision, clientv3.WithCompactPhysical())
	}
	return errors.Join(err, engine.Close())
}
