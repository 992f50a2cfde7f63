package grpc

import (
	"context"

	rpc "google.golang.org/grpc"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

// GetClusterStatus implements setpointv1.ClusterServiceServer.
func (s *service) GetClusterStatus(ctx context.Context, _ *setpointv1.GetClusterStatusRequest) (*setpointv1.GetClusterStatusResponse, error) {
	c, err := s.center.ClusterStatus(ctx)
	return &setpointv1.GetClusterStatusResponse{
		Id: c.ID, Leader: c.Leader, Writable: c.Writable, Problems: c.Problems, Nodes: all(c.Nodes, nodeOf),
	}, err
}

// ListMembers implements setpointv1.ClusterServiceServer.
func (s *service) ListMembers(ctx context.Context, _ *setpointv1.ListMembersRequest) (*setpointv1.ListMembersResponse, error) {
	members, err := s.center.Members(ctx)
	return &setpointv1.ListMembersResponse{Members: all(members, nodeOf)}, err
}

// PromoteMember implements setpointv1.ClusterServiceServer.
func (s *service) PromoteMember(ctx context.Context, in *setpointv1.PromoteMemberRequest) (*setpointv1.PromoteMemberResponse, error) {
	return &setpointv1.PromoteMemberResponse{}, s.center.PromoteMember(ctx, in.GetName())
}

// RemoveMember implements setpointv1.ClusterServiceServer.
func (s *service) RemoveMember(ctx context.Context, in *setpointv1.RemoveMemberRequest) (*setpointv1.RemoveMemberResponse, error) {
	return &setpointv1.RemoveMemberResponse{}, s.center.RemoveMember(ctx, in.GetName())
}

// MoveLeader implements setpointv1.ClusterServiceServer.
func (s *service) MoveLeader(ctx context.Context, in *setpointv1.MoveLeaderRequest) (*setpointv1.MoveLeaderResponse, error) {
	return &setpointv1.MoveLeaderResponse{}, s.center.MoveLeader(ctx, in.GetName())
}

// CreateJoinToken implements setpointv1.ClusterServiceServer.
func (s *service) CreateJoinToken(ctx context.Context, in *setpointv1.CreateJoinTokenRequest) (*setpointv1.CreateJoinTokenResponse, error) {
	var q asked
	n := center.NewJoinToken{TTL: q.span("ttl", in.GetTtl()), Edge: in.GetEdge()}
	if q.err != nil {
		return nil, q.err
	}
	made, err := s.center.CreateJoinToken(ctx, n)
	return &setpointv1.CreateJoinTokenResponse{
		Secret: made.Text.Reveal(), Token: joinTokenOf(made.JoinToken), Addresses: made.Addresses, Fingerprint: made.Fingerprint,
	}, err
}

// ListJoinTokens implements setpointv1.ClusterServiceServer.
func (s *service) ListJoinTokens(ctx context.Context, in *setpointv1.ListJoinTokensRequest) (*setpointv1.ListJoinTokensResponse, error) {
	var q asked
	page := q.page(in.GetPageSize(), in.GetPageToken())
	if q.err != nil {
		return nil, q.err
	}
	found, err := s.center.JoinTokens(ctx, page)
	return &setpointv1.ListJoinTokensResponse{Tokens: all(found.Items, joinTokenOf), NextPageToken: found.Next}, err
}

// RevokeJoinToken implements setpointv1.ClusterServiceServer.
func (s *service) RevokeJoinToken(ctx context.Context, in *setpointv1.RevokeJoinTokenRequest) (*setpointv1.RevokeJoinTokenResponse, error) {
	return &setpointv1.RevokeJoinTokenResponse{}, s.center.RevokeJoinToken(ctx, in.GetId())
}

// CreateBackup implements setpointv1.ClusterServiceServer.
func (s *service) CreateBackup(_ *setpointv1.CreateBackupRequest, out rpc.ServerStreamingServer[setpointv1.CreateBackupResponse]) error {
	name := s.center.BackupName()
	return s.sendAll(out.Context(), func(ctx context.Context, w *sender) error {
		_, err := s.center.Backup(ctx, w)
		return err
	}, func(data []byte) error {
		m := &setpointv1.CreateBackupResponse{FileName: name, Data: data}
		name = ""
		return out.Send(m)
	})
}

func nodeOf(n config.Node) *setpointv1.Node {
	return &setpointv1.Node{
		Name: n.Name, Id: n.ID, Role: nodeRoleWords.of(n.Role), Leader: n.Leader, IsSelf: n.Self, Healthy: n.Healthy,
		Problems: n.Problems, Peer: n.Peer, Url: n.URL, Version: n.Version, StartedAt: timeOf(n.StartedAt),
		Revision: string(n.Revision), Lag: n.Lag, Stale: spanOf(n.Stale), StoreSize: n.StoreSize, StoreUsed: n.StoreUsed,
		DiskFree: n.DiskFree, DiskTotal: n.DiskTotal, Watchers: int32(n.Watchers),
		CertificateExpires: timeOf(n.CertificateExpires), ClockOffset: spanOf(n.ClockOffset),
	}
}

func joinTokenOf(t config.JoinToken) *setpointv1.JoinToken {
	return &setpointv1.JoinToken{
		Id: t.ID, Edge: t.Edge, CreatedAt: timeOf(t.CreatedAt), CreatedBy: t.CreatedBy,
		ExpiresAt: timeOf(t.ExpiresAt), UsedBy: t.UsedBy,
	}
}
