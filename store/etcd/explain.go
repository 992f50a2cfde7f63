package etcd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"

	"github.com/setpointhq/setpoint/store"
)

// askMember bounds the question to another member why the engine cannot start.
const askMember = 2 * time.Second

// explainLaunch says in the words of this program why etcd refuses to start.
func explainLaunch(err error, p *store.Peering) error {
	if p == nil {
		return err
	}
	has := func(text string) bool { return strings.Contains(err.Error(), text) }
	switch {
	case has("has already been bootstrapped"):
		return forgottenError(p, err)
	case has("member count is unequal"), has("unmatched member"), has("PeerURLs: "):
		return fmt.Errorf("the cluster does not have the members %s: this node was not added to it, or under another address, or was removed; add it: %w", list(p.Members), err)
	case has("cannot fetch cluster info"):
		return fmt.Errorf("none of the members %s tells about the cluster: check that they run, and that the addresses are right: %w", list(p.Members), err)
	case has("incompatible with current running cluster"):
		return fmt.Errorf("the members of the cluster run a version that this one cannot work with: %w", err)
	}
	return err
}

// explainWait says for whom an engine waits that does not become ready: it asks
// the other members. Empty if nothing is wrong with them.
func (e *engine) explainWait(p *store.Peering) string {
	cluster, self := e.server.Server.Cluster(), e.server.Server.MemberID()
	if p == nil {
		if n := len(cluster.Members()); n > 1 {
			return fmt.Sprintf("the data is of a cluster of %d members; start the node with the settings of the cluster", n)
		}
		return ""
	}
	if e.server.Server.IsIDRemoved(uint64(self)) {
		return e.stoppedItself().Error()
	}
	client, err := memberClient(p)
	if err != nil {
		return err.Error()
	}
	defer client.CloseIdleConnections()
	rest := others(e.server.Server)
	answers := make([]string, len(rest))
	var asking sync.WaitGroup
	for i, m := range rest {
		asking.Go(func() { answers[i] = ask(client, m, cluster.ID().String()) })
	}
	asking.Wait()
	var wrong []string
	for _, a := range answers {
		if a != "" {
			wrong = append(wrong, a)
		}
	}
	if len(wrong) == 0 {
		return ""
	}
	return "it needs a majority of the members: " + strings.Join(wrong, "; ")
}

// memberClient calls other members the way the engine does.
func memberClient(p *store.Peering) (*http.Client, error) {
	t, err := transport.NewTransport(peerTLS(p), askMember)
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: t, Timeout: askMember}, nil
}

// ask returns what is wrong with another member, in words; empty for nothing.
func ask(client *http.Client, m *membership.Member, cluster string) string {
	name := m.Name
	if name == "" {
		name = m.ID.String()
	}
	if len(m.PeerURLs) == 0 {
		return name + " has no address"
	}
	wrong := func(why string) string { return fmt.Sprintf("%s (%s) %s", name, peerAddress(m.PeerURLs[0]), why) }
	ctx, cancel := context.WithTimeout(context.Background(), askMember)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.PeerURLs[0]+"/members", http.NoBody)
	if err != nil {
		return wrong("has a bad address")
	}
	resp, err := client.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		return wrong("does not answer: " + err.Error())
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)) // so that the connection can close in good order
	switch other := resp.Header.Get("X-Etcd-Cluster-ID"); {
	case resp.StatusCode == http.StatusServiceUnavailable:
		return wrong("is starting or stopping")
	case resp.StatusCode != http.StatusOK:
		return wrong("refuses this node: " + resp.Status)
	case other != cluster:
		return wrong("belongs to another cluster (" + other + ", this data folder to " + cluster + "); use the data folder of this cluster, or an empty one and let the node join")
	}
	return ""
}
