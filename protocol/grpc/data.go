package grpc

import (
	"context"
	"runtime"
	"time"

	rpc "google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/fragment"
)

// consistencyWords say whether an answer must be strong.
var consistencyWords = words[setpointv1.Consistency, string]{setpointv1.Consistency_CONSISTENCY_STRONG: "strong"}

func (q *asked) freshness(in *setpointv1.Freshness) center.Freshness {
	return center.Freshness{
		MinRevision: config.Token(in.GetMinRevision()),
		Strong:      word(q, "freshness.consistency", consistencyWords, in.GetConsistency()) != "",
	}
}

// stale tells for how long the node has been cut off; nil if it is not.
func (a *api) stale() *durationpb.Duration {
	if d := a.center.Staleness(); d > 0 {
		return durationpb.New(d)
	}
	return nil
}

// ReadConfig implements setpointv1.DataServiceServer. What is sent is what readConfig
// makes, as it is.
func (s *service) ReadConfig(ctx context.Context, in *setpointv1.ReadConfigRequest) (*setpointv1.ReadConfigResponse, error) {
	m, err := s.readConfig(ctx, in)
	if err != nil {
		return nil, err
	}
	answer := &setpointv1.ReadConfigResponse{}
	return answer, unmarshal(m.parts, answer)
}

// readConfig answers with a config that is encoded once for all who read it.
func (s *service) readConfig(ctx context.Context, in *setpointv1.ReadConfigRequest) (*encoded, error) {
	var q asked
	read := center.Read{
		Path: q.path("path", in.GetPath()), Client: q.client(ctx, in.GetClient()), Protocol: Name, Freshness: q.freshness(in.GetFreshness()),
	}
	if q.err != nil {
		return nil, q.err
	}
	served, err := s.center.Get(ctx, read)
	if err != nil {
		return nil, err
	}
	unchanged, sort := in.GetHeldDigest() == served.Release.Digest, fragment.ChangeContent
	if unchanged {
		sort = fragment.ChangeOnly
	}
	part, err := s.fragments.Get(ctx, served.Release, sort, s.center.Content)
	if err != nil {
		return nil, err
	}
	return answerOf(part, served.Revision, unchanged, s.stale()), nil
}

// ReadEnv implements setpointv1.DataServiceServer.
func (s *service) ReadEnv(in *setpointv1.ReadEnvRequest, out rpc.ServerStreamingServer[setpointv1.ReadEnvResponse]) error {
	ctx := out.Context()
	var q asked
	read := center.ReadEnv{
		Env: q.path("env", in.GetEnv()), Client: q.client(ctx, in.GetClient()), Protocol: Name, Freshness: q.freshness(in.GetFreshness()),
	}
	if q.err != nil {
		return q.err
	}
	snap, err := s.center.Snapshot(ctx, read)
	if err != nil {
		return err
	}
	digest, _ := fragment.Fingerprint(snap.Releases)
	head := &setpointv1.ReadEnvResponse{
		Revision: string(snap.Revision), Digest: digest, Stale: s.stale(), Unchanged: in.GetHeldDigest() == digest,
	}
	if head.Unchanged {
		return out.Send(head)
	}
	first, err := marshal(head)
	if err != nil {
		return err
	}
	message, size := parts{last: first}, 0
	for _, release := range snap.Releases {
		b, err := s.fragments.Get(ctx, release, fragment.ChangeContent, s.center.Content)
		if err != nil {
			return err
		}
		if size > 0 && size+len(b) > fullMessage {
			if err := out.SendMsg(message.message()); err != nil {
				return err
			}
			message, size = parts{}, 0
		}
		message.shared(fieldConfigs, b)
		size += protowire.SizeTag(fieldConfigs) + protowire.SizeBytes(len(b))
	}
	return out.SendMsg(message.message())
}

// Report implements setpointv1.DataServiceServer.
func (s *service) Report(ctx context.Context, in *setpointv1.ReportRequest) (*setpointv1.ReportResponse, error) {
	var q asked
	client := q.client(ctx, in.GetClient())
	if q.err != nil {
		return nil, q.err
	}
	return &setpointv1.ReportResponse{}, s.report(ctx, client, in.GetReports())
}

// report notes what an instance says of what it was sent.
func (a *api) report(ctx context.Context, client config.Client, reports []*setpointv1.InstanceReport) error {
	var q asked
	request := center.ReportRequest{Client: client, Protocol: Name}
	if len(reports) > center.MaxReports {
		return config.Errorf(config.Invalid, "instance.report", "", "at most %d reports can be sent at once; got %d", center.MaxReports, len(reports))
	}
	for i, r := range reports {
		where := index("reports", i)
		request.Reports = append(request.Reports, center.InstanceReport{
			Path: q.path(where+".path", r.GetPath()), Version: r.GetVersion(),
			State: word(&q, where+".state", ackStateWords, r.GetState()), Why: r.GetWhy(),
		})
	}
	if q.err != nil {
		return q.err
	}
	return a.center.Report(ctx, request)
}

// GetVersion implements setpointv1.DataServiceServer.
func (s *service) GetVersion(context.Context, *setpointv1.GetVersionRequest) (*setpointv1.GetVersionResponse, error) {
	return &setpointv1.GetVersionResponse{Version: s.version, GoVersion: runtime.Version(), Time: timestamppb.New(time.Now())}, nil
}
