package grpc

import (
	"context"
	"net/netip"

	"google.golang.org/protobuf/proto"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/caller"
)

// Explain implements setpointv1.InsightServiceServer.
func (s *service) Explain(ctx context.Context, in *setpointv1.ExplainRequest) (*setpointv1.ExplainResponse, error) {
	var q asked
	request := q.explain(in)
	if q.err != nil {
		return nil, q.err
	}
	x, err := s.center.Explain(ctx, request)
	if err != nil {
		return nil, err
	}
	m := &setpointv1.ExplainResponse{
		Explanation: explanationOf(x.Explanation), Revision: string(x.Revision), Launches: all(x.Launches, explainedLaunchOf),
		Namesakes: int32(x.Namesakes), Silent: x.Silent, Text: x.String(),
	}
	if x.Instance != nil {
		m.Instance = instanceOf(*x.Instance)
	}
	return m, nil
}

func (q *asked) explain(in *setpointv1.ExplainRequest) center.ExplainRequest {
	r := center.ExplainRequest{
		Path: q.path("path", in.GetPath()), Client: config.Client{ID: in.GetInstance(), Slot: in.GetSlot(), Address: in.GetAddress()},
	}
	if in.GetLabels() != nil {
		r.Client.Labels = in.GetLabels().GetEntries()
		if r.Client.Labels == nil {
			r.Client.Labels = map[string]string{} // it is known that it has none
		}
	}
	if err := caller.Check(r.Client); err != nil && q.err == nil {
		q.err = err
	}
	if _, err := netip.ParseAddr(in.GetAddress()); in.GetAddress() != "" && err != nil {
		q.refuse("address", "want an IP address, 10.1.2.3 or 2001:db8::1")
	}
	switch when := in.GetWhen().(type) {
	case *setpointv1.ExplainRequest_At:
		r.At = config.Token(when.At)
	case *setpointv1.ExplainRequest_Time:
		r.Time = q.time("time", when.Time)
	}
	return r
}

func explanationOf(x config.Explanation) *setpointv1.Explanation {
	return &setpointv1.Explanation{
		Path:    x.Path.String(),
		Client:  &setpointv1.Client{Id: x.Client.ID, Address: x.Client.Address, Labels: x.Client.Labels, Slot: x.Client.Slot},
		Release: releaseIf(x.Release), Reason: reasonWords.of(x.Reason), Slot: x.Slot, Verdicts: all(x.Verdicts, verdictOf),
	}
}

func verdictOf(v config.Verdict) *setpointv1.Verdict {
	m := &setpointv1.Verdict{
		Candidate: int32(v.Candidate), Version: v.Version, Kind: strategyKindWords.of(v.Kind), Claims: v.Claims,
		Share: int32(v.Share), Findings: all(v.Findings, findingOf),
	}
	if v.Bucket != nil {
		m.Bucket = proto.Int32(int32(*v.Bucket))
	}
	return m
}

func findingOf(f config.Finding) *setpointv1.Finding {
	return &setpointv1.Finding{Field: f.Field, What: f.What, Holds: f.Holds}
}

func explainedLaunchOf(l config.ExplainedLaunch) *setpointv1.ExplainedLaunch {
	return &setpointv1.ExplainedLaunch{
		Id: l.ID, State: launchStateWords.of(l.State), Kind: strategyKindWords.of(l.Kind), Strategy: l.Strategy,
		Version: l.Version, Serves: l.Serves,
	}
}

// Preview implements setpointv1.InsightServiceServer.
func (s *service) Preview(ctx context.Context, in *setpointv1.PreviewRequest) (*setpointv1.PreviewResponse, error) {
	var q asked
	request := q.preview(in)
	if q.err != nil {
		return nil, q.err
	}
	p, err := s.center.Preview(ctx, request)
	return &setpointv1.PreviewResponse{
		Revision: string(p.Revision), Launch: p.Launch, Strategy: strategyOf(&p.Strategy), Ended: p.Ended,
		Problems: all(p.Problems, problemOf), Configs: all(p.Configs, previewCountOf), Unnamed: int32(p.Unnamed),
		Silent: p.Silent, Instances: all(p.Items, previewInstanceOf), NextPageToken: p.Next,
	}, err
}

func (q *asked) preview(in *setpointv1.PreviewRequest) center.PreviewRequest {
	r := center.PreviewRequest{PageRequest: q.page(in.GetPageSize(), in.GetPageToken())}
	switch about := in.GetAbout().(type) {
	case *setpointv1.PreviewRequest_Start:
		r.Paths = q.paths("start.paths", about.Start.GetPaths())
		r.ReleaseOptions = q.options("start.options", about.Start.GetOptions())
		if len(r.Paths) == 0 || len(r.Paths) > config.MaxLaunchItems {
			q.refuse("start.paths", "name 1 to 100 configs")
		}
		for i, path := range r.Paths {
			if path.Tenant != r.Paths[0].Tenant {
				q.refuse(index("start.paths", i), "want a config of the same tenant as the others")
			}
		}
	case *setpointv1.PreviewRequest_Change:
		r.Change = &center.PreviewChange{
			LaunchRef: q.launch("change.launch", about.Change.GetLaunch()),
			Strategy:  q.strategyIf("change.strategy", about.Change.GetStrategy()), Share: shareIf(about.Change.Share),
			Change: word(q, "change.change", launchChangeWords, about.Change.GetChange()),
		}
	default:
		q.refuse("about", "send start, or change")
	}
	return r
}

func previewCountOf(c config.PreviewCount) *setpointv1.PreviewCount {
	return &setpointv1.PreviewCount{
		Path: c.Path.String(), Version: c.Version, Instances: int32(c.Instances), Candidate: int32(c.Candidate),
		Stable: int32(c.Stable), Other: int32(c.Other), Nothing: int32(c.Nothing), Unchanged: int32(c.Unchanged),
	}
}

func previewInstanceOf(i config.PreviewInstance) *setpointv1.PreviewInstance {
	return &setpointv1.PreviewInstance{
		Id: i.ID, User: i.User, Node: i.Node, Address: i.Address, Labels: i.Labels, Slot: i.Slot, Choices: all(i.Choices, previewChoiceOf),
	}
}

func previewChoiceOf(c config.PreviewChoice) *setpointv1.PreviewChoice {
	return &setpointv1.PreviewChoice{
		Path: c.Path.String(), NowVersion: c.Now, ThenVersion: c.Then, Candidate: c.Candidate, Reason: reasonWords.of(c.Reason),
	}
}
