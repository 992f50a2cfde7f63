package grpc

import (
	"context"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

// ListInstances implements setpointv1.InstanceServiceServer.
func (s *service) ListInstances(ctx context.Context, in *setpointv1.ListInstancesRequest) (*setpointv1.ListInstancesResponse, error) {
	var q asked
	version := in.GetVersion()
	request := center.InstanceRequest{
		Path: q.path("path", in.GetPath()), PageRequest: q.page(in.GetPageSize(), in.GetPageToken()),
		Version: version, State: word(&q, "state", instanceStateWords, in.GetState()),
	}
	q.version("version", &version)
	if q.err != nil {
		return nil, q.err
	}
	found, err := s.center.Instances(ctx, request)
	return &setpointv1.ListInstancesResponse{
		Instances: all(found.Items, instanceOf), NextPageToken: found.Next, Counts: all(found.Counts, versionCountOf), Silent: found.Silent,
	}, err
}

func instanceOf(i config.Instance) *setpointv1.Instance {
	return &setpointv1.Instance{
		Id: i.ID, Labels: i.Labels, Slot: i.Slot, Address: i.Address, Agent: i.Agent, User: i.User, Protocol: i.Protocol,
		Node: i.Node, Since: timeOf(i.Since), Connected: i.Connected, Seen: timeOf(i.Seen), Watches: i.Watches,
		Sent: string(i.Sent), Holds: all(i.Holds, holdingOf),
	}
}

func holdingOf(h config.Holding) *setpointv1.Holding {
	return &setpointv1.Holding{
		Path: h.Path.String(), Sent: h.Sent, Applied: h.Applied, AppliedAt: timeOf(h.AppliedAt),
		Refused: h.Refused, RefusedAt: timeOf(h.RefusedAt), Why: h.Why,
	}
}

func versionCountOf(c config.VersionCount) *setpointv1.VersionCount {
	return &setpointv1.VersionCount{
		Path: c.Path.String(), Version: c.Version, Sent: int32(c.Sent), Applied: int32(c.Applied),
		Refused: int32(c.Refused), Silent: int32(c.Silent),
	}
}
