package etcd

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"

	"github.com/setpointhq/setpoint/store"
)

const (
	// askFounders bounds the question whether the cluster has been founded before.
	// Who accepts the connection is given time to answer; at a real founding all
	// others answer at once that they are not ready, or are not there.
	askFounders = 10 * time.Second
	// maxMembership bounds the answer.
	maxMembership = 1 << 20
)

// forgotten returns an error if this node is about to found a cluster that the
// others have founded with it before. A member that has lost its data must not
// come back under its old name: it would vote a second time, and deny what it has
// acknowledged. etcd asks too, but takes no answer within a second for a no.
func forgotten(ctx context.Context, p *store.Peering) error {
	t, err := transport.NewTransport(peerTLS(p), askMember)
	if err != nil {
		return err
	}
	defer t.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, askFounders)
	defer cancel()
	client := &http.Client{Transport: t}
	known := make(chan string, len(p.Members))
	var asking sync.WaitGroup
	for name, address := range p.Members {
		if name != p.Name {
			asking.Go(func() {
				if knows(ctx, client, address, p.Advertise) {
					known <- name
				}
			})
		}
	}
	asking.Wait()
	close(known)
	for name := range known {
		return forgottenError(p, fmt.Errorf("%s says so", name))
	}
	return nil
}

func forgottenError(p *store.Peering, err error) error {
	return fmt.Errorf("the other members know %s already, but its data folder is empty: give it its data back, or remove the member and let it join anew: %w", p.Name, err)
}

// knows reports whether a member's engine has a member at an address that has run.
func knows(ctx context.Context, client *http.Client, at, address string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, peerURL(at)+"/members", http.NoBody)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxMembership))
	var members []*membership.Member
	if err != nil || resp.StatusCode != http.StatusOK || json.Unmarshal(body, &members) != nil {
		return false
	}
	return slices.ContainsFunc(members, func(m *membership.Member) bool {
		return m != nil && m.Name != "" && len(m.ClientURLs) > 0 && slices.Contains(m.PeerURLs, peerURL(address))
	})
}
