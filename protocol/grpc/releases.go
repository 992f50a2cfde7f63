package grpc

import (
	"context"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

// Publish implements setpointv1.ReleaseServiceServer.
func (s *service) Publish(ctx context.Context, in *setpointv1.PublishRequest) (*setpointv1.PublishResponse, error) {
	var q asked
	publish := center.Publish{Tenant: in.GetTenant(), Comment: in.GetComment(), ReleaseOptions: q.options("options", in.GetOptions())}
	for i, item := range in.GetItems() {
		publish.Items = append(publish.Items, q.publishItem(index("items", i), item))
	}
	if q.err != nil {
		return nil, q.err
	}
	set, err := s.center.Publish(ctx, publish)
	return &setpointv1.PublishResponse{ChangeSet: changeSetOf(set)}, err
}

func (q *asked) publishItem(where string, m *setpointv1.PublishItem) center.PublishItem {
	item := center.PublishItem{
		Path: q.path(where+".path", m.GetPath()), Format: m.GetFormat(), File: m.GetFile(), Description: m.GetDescription(),
		Labels: m.GetLabels(), ExpectedVersion: q.version(where+".expected_version", m.ExpectedVersion), SkipUnchanged: m.GetSkipUnchanged(),
	}
	switch source := m.GetSource().(type) {
	case *setpointv1.PublishItem_Content:
		item.Content = source.Content
	case *setpointv1.PublishItem_Draft:
		item.FromDraft, item.DraftRevision = true, config.Token(source.Draft.GetRevision())
	default:
		q.refuse(where, "send content, or draft")
	}
	return item
}

// Rollback implements setpointv1.ReleaseServiceServer.
func (s *service) Rollback(ctx context.Context, in *setpointv1.RollbackRequest) (*setpointv1.RollbackResponse, error) {
	var q asked
	request := center.Rollback{
		Path: q.path("path", in.GetPath()), Version: in.GetVersion(), Comment: in.GetComment(),
		ExpectedVersion: q.version("expected_version", in.ExpectedVersion),
	}
	q.version("version", &request.Version)
	if q.err != nil {
		return nil, q.err
	}
	set, err := s.center.Rollback(ctx, request)
	return &setpointv1.RollbackResponse{ChangeSet: changeSetOf(set)}, err
}

// Promote implements setpointv1.ReleaseServiceServer.
func (s *service) Promote(ctx context.Context, in *setpointv1.PromoteRequest) (*setpointv1.PromoteResponse, error) {
	var q asked
	request := center.Promote{
		From: q.path("from_env", in.GetFromEnv()), To: q.path("to_env", in.GetToEnv()), Names: in.GetNames(),
		Comment: in.GetComment(), Backward: in.GetBackward(), DryRun: in.GetDryRun(), ReleaseOptions: q.options("options", in.GetOptions()),
	}
	if q.err != nil {
		return nil, q.err
	}
	set, err := s.center.Promote(ctx, request)
	return &setpointv1.PromoteResponse{ChangeSet: changeSetOf(set)}, err
}

// ListChangeSets implements setpointv1.ReleaseServiceServer.
func (s *service) ListChangeSets(ctx context.Context, in *setpointv1.ListChangeSetsRequest) (*setpointv1.ListChangeSetsResponse, error) {
	var q asked
	page := q.page(in.GetPageSize(), in.GetPageToken())
	if q.err != nil {
		return nil, q.err
	}
	found, err := s.center.ChangeSets(ctx, in.GetTenant(), page)
	return &setpointv1.ListChangeSetsResponse{ChangeSets: all(found.Items, changeSetOf), NextPageToken: found.Next}, err
}

// ListReleases implements setpointv1.ReleaseServiceServer.
func (s *service) ListReleases(ctx context.Context, in *setpointv1.ListReleasesRequest) (*setpointv1.ListReleasesResponse, error) {
	var q asked
	path, page := q.path("path", in.GetPath()), q.page(in.GetPageSize(), in.GetPageToken())
	if q.err != nil {
		return nil, q.err
	}
	found, err := s.center.Releases(ctx, path, page)
	return &setpointv1.ListReleasesResponse{Releases: all(found.Items, releaseOf), NextPageToken: found.Next}, err
}

// GetRelease implements setpointv1.ReleaseServiceServer.
func (s *service) GetRelease(ctx context.Context, in *setpointv1.GetReleaseRequest) (*setpointv1.GetReleaseResponse, error) {
	var q asked
	path := q.path("path", in.GetPath())
	if in.GetVersion() < 1 {
		q.refuse("version", "want 1 or more")
	}
	if q.err != nil {
		return nil, q.err
	}
	r, content, err := s.center.Release(ctx, path, in.GetVersion())
	return &setpointv1.GetReleaseResponse{Release: releaseOf(r), Content: content}, err
}

// Diff implements setpointv1.ReleaseServiceServer.
func (s *service) Diff(ctx context.Context, in *setpointv1.DiffRequest) (*setpointv1.DiffResponse, error) {
	var q asked
	from, to := q.ref("from_content", in.GetFromContent()), q.ref("to_content", in.GetToContent())
	if q.err != nil {
		return nil, q.err
	}
	d, err := s.center.Diff(ctx, from, to)
	m := &setpointv1.DiffResponse{
		FromSide: diffSideOf(d.From), ToSide: diffSideOf(d.To), Equal: d.Equal, Unified: d.Unified, Structural: d.Structural,
	}
	for i := range d.Changes {
		c := &d.Changes[i]
		m.Changes = append(m.Changes, &setpointv1.DiffChange{
			Op: diffOpWords.of(string(c.Op)), Path: c.Path, FromPath: c.FromPath, FromValue: c.From, ToValue: c.To,
			FromKind: valueKindWords.of(c.FromKind), ToKind: valueKindWords.of(c.ToKind),
			FromLine: int32(c.FromLine), ToLine: int32(c.ToLine),
		})
	}
	return m, err
}

func (q *asked) ref(where string, m *setpointv1.ContentRef) center.Ref {
	version := m.GetVersion()
	q.version(where+".version", &version)
	return center.Ref{Path: q.path(where+".path", m.GetPath()), Version: version, Draft: m.GetDraft()}
}

func diffSideOf(s center.DiffSide) *setpointv1.DiffSide {
	return &setpointv1.DiffSide{
		Path: s.Path.String(), Version: s.Version, Draft: s.Draft, Digest: s.Digest, Format: s.Format, Missing: s.Missing,
	}
}
