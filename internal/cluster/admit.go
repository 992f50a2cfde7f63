package cluster

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	enc "encoding/hex"
	"encoding/pem"
	"net"
	"slices"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/pki"
	"github.com/setpointhq/setpoint/store"
)

// admit lets a node in: one that shows a token gets a certificate, and one that
// is to be a member is added as a learner. cert is the one that it shows; nil if
// it has none, and from the address that it calls from. Whoever asks again gets
// the same answer.
func (c *Cluster) admit(ctx context.Context, ask *joinRequest, cert *x509.Certificate, from string) (*joinAnswer, error) {
	parts := c.parts.Load()
	engine, ok := c.engine()
	if parts == nil || !ok {
		return nil, passing{config.Errorf(config.Unavailable, "", "", "the node %s is still starting", c.settings.Name)}
	}
	switch {
	case ask.Format < DataFormat:
		return nil, config.Errorf(config.Invalid, "", "", "the data of this cluster is in format %d, and Setpoint %s knows only %d; start a newer program", DataFormat, clip(ask.Version), ask.Format)
	case ask.ClusterToken != "" && ask.ClusterToken != digest(c.settings.Token):
		return nil, config.Errorf(config.Invalid, "", "", "the cluster's token is another; leave cluster.token out, it comes with joining")
	}
	who, err := c.identify(ctx, parts, ask, cert)
	if err != nil {
		return nil, err
	}
	if !c.desk.TryLock() {
		return nil, passing{config.Errorf(config.Conflict, "", "", "another node is being let in")}
	}
	defer c.desk.Unlock()
	members, err := engine.Members(ctx)
	if err != nil {
		return nil, transient(err)
	}
	present, err := c.checkPlace(ask, members)
	if err != nil {
		return nil, err
	}
	enroll := !ask.Edge && !present
	if enroll {
		if err := c.checkReach(ctx, ask); err != nil {
			return nil, err
		}
	}
	answer := &joinAnswer{ClusterToken: c.settings.Token}
	if who.authority != nil {
		if err := vouch(ctx, parts, who, ask, from, answer); err != nil {
			return nil, err
		}
	}
	if enroll {
		if err := addLearner(ctx, engine, ask.Peer); err != nil {
			return nil, err
		}
	}
	if members, err = engine.Members(ctx); err != nil {
		return nil, transient(err)
	}
	answer.Members = wireMembers(members)
	c.log.Info("a node was let in", "node", ask.Name, "peer", ask.Peer, "edge", ask.Edge, "again", present)
	return answer, nil
}

// vouch redeems a node's token and adds its certificate to the answer. It comes
// late: a token that was shown in vain is good for another attempt.
func vouch(ctx context.Context, parts *Parts, who guest, ask *joinRequest, from string, answer *joinAnswer) error {
	if _, err := parts.Redeem(ctx, config.NewSecret(ask.Token), ask.Name, who.key); err != nil {
		return transient(err)
	}
	var err error
	if answer.Certificate, err = sign(who.authority, ask, from); err != nil {
		return err
	}
	answer.CA = string(who.authority.Bundle())
	return nil
}

// guest is a node that wants to be let in, and has proved that it may.
type guest struct {
	authority *pki.Authority // that shall vouch for it; nil if it has a certificate
	key       string         // the digest of the key that it wants one for
}

// identify makes sure who asks.
func (c *Cluster) identify(ctx context.Context, parts *Parts, ask *joinRequest, cert *x509.Certificate) (guest, error) {
	if cert != nil {
		if name, ours := issuedName(cert); ours && name != ask.Name {
			return guest{}, config.Errorf(config.Denied, "", "", "the certificate is that of the node %s, not of %s", name, ask.Name)
		}
		return guest{}, nil
	}
	if ask.Token == "" || ask.Request == "" {
		return guest{}, config.Errorf(config.Denied, "", "", "whoever has no certificate of this cluster needs a token to join; 'setpoint cluster add' makes one")
	}
	authority, err := c.authority()
	if err != nil {
		return guest{}, err
	}
	key, err := keyOf(ask.Request)
	if err != nil {
		return guest{}, err
	}
	edge, err := parts.Check(ctx, config.NewSecret(ask.Token), ask.Name, key)
	switch {
	case err != nil:
		return guest{}, transient(err)
	case edge && !ask.Edge:
		return guest{}, config.Errorf(config.Invalid, "", "", "the token lets an edge in, and %s is to be a member; start it with --edge, or make a token for a member", ask.Name)
	case !edge && ask.Edge:
		return guest{}, config.Errorf(config.Invalid, "", "", "the token lets a member in, and %s is to be an edge; start it without --edge, or make a token with 'setpoint cluster add --edge'", ask.Name)
	}
	return guest{authority, key}, nil
}

// checkPlace finds out whether there is room for a node of that name at that
// address, or whether it is a member already.
func (c *Cluster) checkPlace(ask *joinRequest, members []store.Member) (present bool, err error) {
	for _, m := range members {
		sameName, samePeer := m.Name == ask.Name, m.Peer == ask.Peer
		switch {
		case sameName && ask.Data:
			return true, nil // it lost its certificate, and may have moved
		case sameName && !samePeer:
			return false, config.Errorf(config.Exists, "", "", "a member named %s is in the cluster already, at %s; give this node another name, or remove that one first", m.Name, m.Peer)
		case samePeer && !sameName && m.Name != "":
			return false, config.Errorf(config.Exists, "", "", "the address %s is that of the member %s; set cluster.advertise to this node's own, or remove that one first", m.Peer, m.Name)
		case samePeer && m.Started:
			return false, config.Errorf(config.Conflict, "", "", "%s is a member already and has run before, but comes with an empty data directory; put its data back or, if it is lost, remove it first ('setpoint cluster remove %s')", ask.Name, ask.Name)
		case samePeer:
			return true, nil
		}
	}
	if ask.Data {
		return false, config.Errorf(config.Conflict, "", "", "%s has data of this engine, but is not a member, or no more; let it join with an empty data_dir", ask.Name)
	}
	if e, known := c.others.get(ask.Name); known && e.fresh(time.Now()) {
		return false, config.Errorf(config.Exists, "", "", "a node named %s is running already; give this one another name", ask.Name)
	}
	return false, nil
}

// checkReach refuses a member that cannot be reached where it says.
func (c *Cluster) checkReach(ctx context.Context, ask *joinRequest) error {
	dialer := net.Dialer{Timeout: 3 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", ask.Peer)
	if err != nil {
		return config.Errorf(config.Invalid, "", "", "the node %s cannot be reached at %s from %s (%s); set its cluster.advertise to an address that other nodes reach", ask.Name, ask.Peer, c.settings.Name, pki.Explain(err))
	}
	_ = conn.Close() // it was of interest that it came about
	return nil
}

// addLearner enters a member.
func addLearner(ctx context.Context, engine store.Cluster, peer string) error {
	_, err := engine.AddLearner(ctx, peer)
	switch config.KindOf(err) {
	case config.Exists: // somebody else was asked at the same time
		return nil
	case config.Conflict:
		return passing{err}
	}
	return transient(err)
}

// transient marks what may go well in a moment.
func transient(err error) error {
	switch config.KindOf(err) {
	case config.Unavailable, config.Timeout, config.Throttled:
		return passing{err}
	}
	return err
}

// sign makes the certificate that a request asks for. Clients see it as well, on
// the HTTP port: it is good for where they may reach the node, an edge included.
func sign(authority *pki.Authority, ask *joinRequest, from string) (string, error) {
	cert, err := authority.Sign([]byte(ask.Request), pki.Request{Name: ask.Name, Hosts: hostsOf(ask.Peer, from)})
	return string(cert), err
}

// keyOf is the digest of the key that a certificate request is for.
func keyOf(request string) (string, error) {
	block, _ := pem.Decode([]byte(request))
	if block == nil {
		return "", config.Errorf(config.Invalid, "", "", "there is no PEM certificate request")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err == nil {
		err = csr.CheckSignature()
	}
	if err != nil {
		return "", config.Errorf(config.Invalid, "", "", "the certificate request is damaged: %w", err)
	}
	sum := sha256.Sum256(csr.RawSubjectPublicKeyInfo)
	return enc.EncodeToString(sum[:]), nil
}

// issuedName is the name of the node whose certificate it is, if an authority of
// Setpoint's own issued it: others have rules of their own for names.
func issuedName(cert *x509.Certificate) (string, bool) {
	return cert.Subject.CommonName, slices.Contains(cert.Subject.Organization, pki.Organization)
}

func wireMembers(members []store.Member) []member {
	out := make([]member, 0, len(members))
	for _, m := range members {
		out = append(out, member{Name: m.Name, ID: hex(m.ID), Peer: m.Peer, Learner: m.Learner, Started: m.Started})
	}
	slices.SortFunc(out, func(a, b member) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return out
}

// digest stands for the token that keeps clusters apart.
func digest(token string) string {
	sum := sha256.Sum256([]byte("setpoint cluster " + token))
	return enc.EncodeToString(sum[:])
}
