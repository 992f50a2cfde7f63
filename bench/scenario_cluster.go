package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/internal/freeport"
	"github.com/setpointhq/setpoint/internal/pki"
)

// clusterNodes is how many servers share the machine in the scenario.
const clusterNodes = 3

// cluster measures publishing to three nodes, each writer to one of them in
// turn, beside three members of the engine alone. All share this machine.
func (r *run) cluster(ctx context.Context) (_ []Result, err error) {
	nodes, err := r.startCluster(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, nodes.stop()) }()
	inner := &run{Options: r.Options, dir: r.dir, target: nodes.target}
	writers, err := inner.openWriters(ctx, scenarioCluster, r.Writers, nodes.servers...)
	if err != nil {
		return nil, err
	}
	defer writers.conns.close()
	setup := engineSetup{Dir: filepath.Join(r.dir, "cluster-engine"), Members: clusterNodes}
	floor, err := r.startFloor(ctx, floorEngine, setup, &struct{}{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, floor.stop()) }()
	result, err := inner.play(ctx, contest{
		scenario: scenarioCluster,
		title:    fmt.Sprintf("POST of a release of 1 KiB to %d nodes on this machine, %d writers, each its own config", clusterNodes, r.Writers),
		subjects: []subject{
			{name: "setpoint, 3 nodes", pids: nodes.target.pids, round: writers.round(r.Writers)},
			{name: "engine's bare transaction, 3 members", pids: floor.pids(), round: engineRound(floor, r.Writers)},
		},
	})
	return []Result{result}, err
}

// fleet is servers that were started to be measured together.
type fleet struct {
	processes []*serverProcess
	servers   []server
	target    *target // on the first of them
}

// startCluster founds a cluster. Its nodes wait for each other, so all are
// started before the first is ready.
func (r *run) startCluster(ctx context.Context) (_ *fleet, err error) {
	members, err := newMembers(filepath.Join(r.dir, "certs"))
	if err != nil {
		return nil, err
	}
	c := &fleet{processes: make([]*serverProcess, len(members))}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop())
		}
	}()
	failed := make([]error, len(members))
	var starting sync.WaitGroup
	for i, m := range members {
		starting.Go(func() {
			setup := Setup{Dir: filepath.Join(r.dir, m.Name), Cluster: &m}
			c.processes[i], failed[i] = r.startServer(ctx, setup)
		})
	}
	starting.Wait()
	if err := errors.Join(failed...); err != nil {
		return nil, err
	}
	return c, c.open(ctx)
}

// open makes the tenant that is measured, and learns how to reach every node.
func (c *fleet) open(ctx context.Context) error {
	var admin *client.Options
	pids := []int{}
	for _, p := range c.processes {
		o := p.node.options()
		s, err := serverOf(*o)
		if err != nil {
			return err
		}
		c.servers, pids = append(c.servers, s), append(pids, p.pids()...)
		if p.node.Password != "" { // one of them made the user admin
			admin = o
		}
	}
	if admin == nil {
		return errors.New("no node of the new cluster says that it made the user admin")
	}
	c.target = &target{pids: pids, admin: c.processes[0].node.Admin}
	return c.target.connect(ctx, *admin)
}

func (c *fleet) stop() error {
	var errs []error
	if c.target != nil {
		errs = append(errs, c.target.close())
	}
	for _, p := range c.processes {
		if p != nil {
			errs = append(errs, p.stop())
		}
	}
	return errors.Join(errs...)
}

// newMembers says how the nodes of a new cluster reach each other on this
// machine, and makes their certificates.
func newMembers(certs string) ([]ClusterSetup, error) {
	authority, err := pki.CreateAuthority(certs, pki.Options{Name: "setpoint-bench"})
	if err != nil {
		return nil, err
	}
	all := make([]ClusterSetup, clusterNodes)
	var addresses []string
	for i := range all {
		all[i] = ClusterSetup{Name: fmt.Sprintf("n%d", i+1), CertDir: certs}
		address, err := freeport.Addr()
		if err != nil {
			return nil, err
		}
		addresses = append(addresses, all[i].Name+"="+address)
		if err := issue(authority, certs, all[i].Name); err != nil {
			return nil, err
		}
	}
	for i := range all {
		all[i].Members = addresses
	}
	return all, nil
}

// issue writes a certificate for a node on this machine.
func issue(authority *pki.Authority, dir, name string) error {
	var m pki.Material
	var err error
	if m.Cert, m.Key, err = authority.Issue(pki.Request{Name: name, Hosts: []string{"127.0.0.1", "localhost"}}); err != nil {
		return err
	}
	return pki.WriteNode(pki.FilesIn(dir, name), m)
}
