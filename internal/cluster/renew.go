package cluster

import (
	"context"
	"slices"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/pki"
)

const (
	// renewPause is between two looks at the certificate that joining brought.
	renewPause = time.Hour
	// renewShare is which part of its life is left when it is renewed.
	renewShare = 3
)

// renew replaces this node's certificate in time, if the cluster made it. Files
// that somebody else made are theirs to renew.
func (c *Cluster) renew(ctx context.Context) {
	if c.settings.CertFile != "" {
		return
	}
	for {
		if cert := c.keeper.Certificate(); cert.NotAfter.Sub(c.now()) < cert.NotAfter.Sub(cert.NotBefore)/renewShare {
			if err := c.renewNow(ctx); err != nil && ctx.Err() == nil {
				c.log.Warn("this node's certificate cannot be renewed; it is tried again", "expires", cert.NotAfter, "error", err)
			}
		}
		if !pause(ctx, renewPause) {
			return
		}
	}
}

// renewNow makes the next certificate, or has another node do so.
func (c *Cluster) renewNow(ctx context.Context) error {
	if authority, err := c.authority(); err == nil {
		err := c.issueForSelf(authority)
		c.keeper.Look()
		return err
	}
	key, request, err := pki.NewRequest(c.settings.Name)
	if err != nil {
		return err
	}
	err = config.Errorf(config.Unavailable, "renew the certificate", "", "no other member is known")
	members, _ := c.memory.members()
	for _, m := range members {
		if m.Peer == c.settings.Advertise {
			continue
		}
		var answer renewal
		if err = c.askRenewal(ctx, m.Peer, string(request), &answer); err != nil {
			continue
		}
		material := pki.Material{Cert: []byte(answer.Certificate), Key: key, CA: []byte(answer.CA)}
		if err = pki.WriteNode(c.files, material); err == nil {
			c.keeper.Look()
		}
		return err
	}
	return err
}

func (c *Cluster) askRenewal(ctx context.Context, addr, request string, answer *renewal) error {
	ctx, cancel := context.WithTimeout(ctx, actPatience)
	defer cancel()
	if err := c.calls.post(ctx, addr, "/node/renew", &renewal{Request: request}, answer); err != nil {
		return err
	}
	if answer.Certificate == "" || answer.CA == "" {
		return config.Errorf(config.Unavailable, "ask", addr, "it gave no certificate")
	}
	return nil
}

// serveRenew vouches on for a node that is one still.
func (c *Cluster) serveRenew(r request) (any, error) {
	var ask renewal
	if err := decode(r.Body, maxBody, &ask); err != nil {
		return nil, err
	}
	name, ours := issuedName(r.cert)
	if !ours || !isName(name) {
		return nil, config.Errorf(config.Unsupported, "", "", "the certificate was made by an authority that is not the cluster's own; have that one renew it")
	}
	authority, err := c.authority()
	if err != nil {
		return nil, err
	}
	members, _ := c.memory.members()
	_, edge := c.others.get(name)
	if !edge && !slices.ContainsFunc(members, func(m member) bool { return m.Name == name }) {
		return nil, config.Errorf(config.Denied, "", "", "%s is no node of this cluster any more", name)
	}
	cert, err := authority.Sign([]byte(ask.Request), pki.Request{Name: name, Hosts: pki.Hosts(r.cert)})
	if err != nil {
		return nil, err
	}
	c.log.Info("a node's certificate was renewed", "node", name)
	return &renewal{Certificate: string(cert), CA: string(authority.Bundle())}, nil
}
