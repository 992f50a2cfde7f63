package rest

import (
	"context"
	"net/http"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

const (
	tagCluster = "Cluster"
	pathMember = "/v1/cluster/members/{name}"
)

// clusterStatuses are those of what only a node of a cluster can do.
var clusterStatuses = []int{http.StatusNotFound, http.StatusConflict, http.StatusNotImplemented, http.StatusGatewayTimeout}

func clusterRoutes() []Route {
	return []Route{
		control(Route{Method: "GET", Pattern: "/v1/cluster", Op: "cluster.status", ID: "get-cluster", tag: tagCluster,
			summary: "Tell how the installation and each of its nodes are doing"}, (*api).getCluster),
		control(Route{Method: "GET", Pattern: "/v1/cluster/members", Op: "cluster.status", ID: "list-members", tag: tagCluster,
			summary: "List the nodes that hold the data", description: "Voters and learners. Edges are nodes, but no members."}, (*api).listMembers),
		control(Route{Method: "POST", Pattern: pathMember + "/promote", Op: "cluster.promote", ID: "promote-member", tag: tagCluster,
			summary: "Let a learner vote", description: "The cluster does so by itself once the learner has caught up.",
			errors: clusterStatuses}, (*api).promoteMember),
		control(Route{Method: "DELETE", Pattern: pathMember, Op: "cluster.remove", ID: "remove-member", tag: tagCluster,
			summary: "Take a member out for good", description: "It must not be started again with the data that it has.",
			errors: clusterStatuses}, (*api).removeMember),
		control(Route{Method: "POST", Pattern: "/v1/cluster/leader", Op: "cluster.move_leader", ID: "move-leader", tag: tagCluster,
			summary: "Hand the leadership over", body: smallBody, errors: clusterStatuses}, (*api).moveLeader),
		control(Route{Method: "POST", Pattern: "/v1/cluster/tokens", Op: "cluster.create_join_token", ID: "create-join-token", tag: tagCluster,
			summary: "Make a token that lets one new node in", description: "The token itself is in this answer and nowhere else.",
			body: smallBody, status: http.StatusCreated, errors: clusterStatuses}, (*api).createJoinToken),
		control(Route{Method: "GET", Pattern: "/v1/cluster/tokens", Op: "cluster.list_join_tokens", ID: "list-join-tokens", tag: tagCluster,
			summary: "List the join tokens that are still good"}, (*api).listJoinTokens),
		control(Route{Method: "DELETE", Pattern: "/v1/cluster/tokens/{id}", Op: "cluster.revoke_join_token", ID: "revoke-join-token", tag: tagCluster,
			summary: "Take a join token back", description: "A node that it has let in stays.", errors: readStatuses}, (*api).revokeJoinToken),
	}
}

// MemberPath names a member.
type MemberPath struct {
	Name string `path:"name" doc:"the node's name" example:"n3" maxLength:"253"`
}

// joinOffer is a join token with its secret, which is shown this once, and where
// to show it.
type joinOffer struct {
	Text string `json:"token" doc:"what the new node shows" example:"spj_k7wq3n5xv2bd_…"`
	config.JoinToken
	config.Invitation
}

func (a *api) getCluster(ctx context.Context, _ *struct{}) (*answered[config.ClusterStatus], error) {
	return answer(a.center.ClusterStatus(ctx))
}

func (a *api) listMembers(ctx context.Context, _ *struct{}) (*answered[config.Page[config.Node]], error) {
	members, err := a.center.Members(ctx)
	return answer(config.Page[config.Node]{Items: members}, err)
}

func (a *api) promoteMember(ctx context.Context, in *MemberPath) (*empty, error) {
	return done(a.center.PromoteMember(ctx, in.Name))
}

func (a *api) removeMember(ctx context.Context, in *MemberPath) (*empty, error) {
	return done(a.center.RemoveMember(ctx, in.Name))
}

func (a *api) moveLeader(ctx context.Context, in *struct {
	Body struct {
		Name string `json:"name,omitempty" doc:"the voter that is to lead; left out, the most suitable one" example:"n2" maxLength:"253"`
	}
}) (*empty, error) {
	return done(a.center.MoveLeader(ctx, in.Body.Name))
}

func (a *api) createJoinToken(ctx context.Context, in *struct {
	Body struct {
		TTL  Duration `json:"ttl,omitzero" doc:"how long it is good; left out, an hour; at most 24" example:"1h"`
		Edge bool     `json:"edge,omitempty" doc:"let in a node that keeps no data"`
	}
}) (*answered[joinOffer], error) {
	made, err := a.center.CreateJoinToken(ctx, center.NewJoinToken{TTL: in.Body.TTL.Duration, Edge: in.Body.Edge})
	return answer(joinOffer{Text: made.Text.Reveal(), JoinToken: made.JoinToken, Invitation: made.Invitation}, err)
}

func (a *api) listJoinTokens(ctx context.Context, in *PageQuery) (*answered[config.Page[config.JoinToken]], error) {
	return answer(a.center.JoinTokens(ctx, in.request()))
}

func (a *api) revokeJoinToken(ctx context.Context, in *struct {
	ID string `path:"id" doc:"the token's id, not the token" maxLength:"64" example:"k7wq3n5xv2bd"`
}) (*empty, error) {
	return done(a.center.RevokeJoinToken(ctx, in.ID))
}
