package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// Cluster tells how the installation and each of its nodes are doing.
func (c *Client) Cluster(ctx context.Context) (config.ClusterStatus, error) {
	return get[config.ClusterStatus](ctx, c, "/v1/cluster")
}

// Members lists the nodes that hold the data: voters and learners.
func (c *Client) Members(ctx context.Context) ([]config.Node, error) {
	page, err := get[config.Page[config.Node]](ctx, c, "/v1/cluster/members")
	return page.Items, err
}

// PromoteMember lets a learner vote, which the cluster does by itself once the
// learner has caught up. Conflict while it has not.
func (c *Client) PromoteMember(ctx context.Context, name string) error {
	_, err := c.call(ctx, request{method: http.MethodPost, path: member(name) + "/promote"}, nil)
	return err
}

// RemoveMember takes a member out for good; it must not be started again with
// the data that it has. Conflict if the others would be too few.
func (c *Client) RemoveMember(ctx context.Context, name string) error {
	return remove(ctx, c, member(name), "")
}

func member(name string) string { return "/v1/cluster/members/" + url.PathEscape(name) }

// MoveLeader hands the leadership to a voter, or to the most suitable one if the
// name is empty.
func (c *Client) MoveLeader(ctx context.Context, to string) error {
	in := struct {
		Name string `json:"name,omitempty"`
	}{to}
	_, err := c.call(ctx, request{method: http.MethodPost, path: "/v1/cluster/leader", in: in}, nil)
	return err
}

// NewJoinToken describes a join token to make.
type NewJoinToken struct {
	TTL  time.Duration // 0 for an hour; at most 24
	Edge bool          // for a node that keeps no data
}

// JoinOffer is a join token with its secret, which is shown this once, and what
// the new node needs beside it.
type JoinOffer struct {
	config.JoinToken
	config.Invitation
	Secret config.Secret
}

// CreateJoinToken makes a token that lets one new node into the cluster.
func (c *Client) CreateJoinToken(ctx context.Context, n NewJoinToken) (JoinOffer, error) {
	in := struct {
		TTL  string `json:"ttl,omitempty"`
		Edge bool   `json:"edge,omitempty"`
	}{ttlText(n.TTL), n.Edge}
	out, err := post[struct {
		config.JoinToken
		config.Invitation
		Secret config.Secret `json:"token"`
	}](ctx, c, "/v1/cluster/tokens", in)
	return JoinOffer{JoinToken: out.JoinToken, Invitation: out.Invitation, Secret: out.Secret}, err
}

// JoinTokens lists the join tokens that are still good.
func (c *Client) JoinTokens(ctx context.Context) iter.Seq2[config.JoinToken, error] {
	return list[config.JoinToken](ctx, c, "/v1/cluster/tokens", paged(values()))
}

// RevokeJoinToken takes a join token back, by its id. A node that it has let in
// stays.
func (c *Client) RevokeJoinToken(ctx context.Context, id string) error {
	return remove(ctx, c, "/v1/cluster/tokens/"+url.PathEscape(id), "")
}

// staleness reads how long the node that answered has been cut off from the
// others; 0 if it is not.
func staleness(h http.Header) time.Duration {
	seconds, err := strconv.ParseUint(h.Get("Setpoint-Stale-Seconds"), 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
