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

	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"

	"github.com/setpointhq/setpoint/store"
)

const (
	// askFounders bounds the question whether the cluster has been founded before.
	// Who accepts the connection is given time to answer; at a real founding all
	// others answer at once that they are not ready, or are not there.
	askFounders = 10 * time.Second
	// entryPatience is how long a member may lag behind the one that let a new
	// member in.
	entryPatience = 5 * time.Second
	// maxMembership bounds the answer.
	maxMembership = 1 << 20
)

// forgotten returns an error if this node is about to found a cluster that the
// others have founded with it before. A member that has lost its data must not
// come back under its old name: it would vote a second time, and deny what it has
// acknowledged. etcd asks too, but takes no answer within a second for a no.
func forgotten(ctx context.Context, p *store.Peering) error {
	ctx, cancel := context.WithTimeout(ctx, askFounders)
	defer cancel()
	answers, err := askMembers(ctx, p)
	for name, members := range answers {
		if slices.ContainsFunc(members, func(m *membership.Member) bool {
			return m != nil && m.Name != "" && len(m.ClientURLs) > 0 && slices.Contains(m.PeerURLs, peerURL(p.Advertise))
		}) {
			return forgottenError(p, fmt.Errorf("%s says so", name))
		}
	}
	return err
}

// awaitEntry waits a moment until all members that answer know this node, which
// joins them. etcd asks any one of them, and takes one that has not yet heard of
// the new member for one that denies it. Whatever is amiss beyond that moment,
// etcd then tells.
func awaitEntry(ctx context.Context, p *store.Peering) error {
	ctx, cancel := context.WithTimeout(ctx, entryPatience)
	defer cancel()
	for {
		answers, err := askMembers(ctx, p)
		lagging := false
		for _, members := range answers {
			lagging = lagging || !slices.ContainsFunc(members, func(m *membership.Member) bool {
				return m != nil && slices.Contains(m.PeerURLs, peerURL(p.Advertise))
			})
		}
		if err != nil || !lagging || pause(ctx) != nil {
			return err
		}
	}
}

// askMembers asks all other members whom they know, each what it has itself
// applied. Those that do not answer are left out.
func askMembers(ctx context.Context, p *store.Peering) (map[string][]*membership.Member, error) {
	client, err := memberClient(p)
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	client.Timeout = 0 // ctx bounds it
	var mu sync.Mutex
	answers := make(map[string][]*membership.Member, len(p.Members))
	var asking sync.WaitGroup
	for name, address := range p.Members {
		if name == p.Name {
			continue
		}
		asking.Go(func() {
			members, ok := membersAt(ctx, client, address)
			mu.Lock()
			defer mu.Unlock()
			if ok {
				answers[name] = members
			}
		})
	}
	asking.Wait()
	return answers, nil
}

func forgottenError(p *store.Peering, err error) error {
	return fmt.Errorf("the other members know %s already, but its data folder is empty: give it its data back, or remove the member and let it join anew: %w", p.Name, err)
}

// membersAt has a member tell whom it knows; false if it does not answer.
func membersAt(ctx context.Context, client *http.Client, at string) ([]*membership.Member, bool) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, peerURL(at)+"/members", http.NoBody)
	if err != nil {
		return nil, false
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxMembership))
	var members []*membership.Member
	if err != nil || resp.StatusCode != http.StatusOK || json.Unmarshal(body, &members) != nil {
		return nil, false
	}
	return members, true
}
