package grpc

import (
	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/config"
)

func problemOf(p config.Problem) *setpointv1.Problem {
	return &setpointv1.Problem{
		Path: valid(p.Path), Line: int32(p.Line), Column: int32(p.Column), Severity: severityWords.of(p.Severity),
		Message: valid(p.Message), Excerpt: valid(p.Excerpt), Hint: valid(p.Hint),
	}
}

func configOf(c config.Config) *setpointv1.Config {
	return &setpointv1.Config{
		Path: c.Path.String(), Kind: configKindWords.of(c.Kind), Format: c.Format, File: c.File,
		Description: c.Description, Labels: c.Labels,
		CreatedAt: timeOf(c.CreatedAt), CreatedBy: c.CreatedBy,
		UpdatedAt: timeOf(c.UpdatedAt), UpdatedBy: c.UpdatedBy, Revision: string(c.Revision),
	}
}

func stateOf(s config.State) *setpointv1.ConfigState {
	return &setpointv1.ConfigState{Config: configOf(s.Config), Rollout: rolloutOf(&s.Rollout), HasDraft: s.HasDraft}
}

func draftOf(d config.Draft) *setpointv1.Draft {
	return &setpointv1.Draft{
		Path: d.Path.String(), Format: d.Format, BaseVersion: d.BaseVersion, Author: d.Author,
		SavedAt: timeOf(d.SavedAt), Revision: string(d.Revision), Content: d.Content,
	}
}

func releaseOf(r config.Release) *setpointv1.Release {
	return &setpointv1.Release{
		Path: r.Path.String(), Version: r.Version, Format: r.Format, Digest: r.Digest, Size: r.Size,
		Source:  &setpointv1.Source{Kind: sourceKindWords.of(r.Source.Kind), Version: r.Source.Version, FromPath: r.Source.From},
		Comment: r.Comment, Author: r.Author, Time: timeOf(r.Time), ChangeSet: r.ChangeSet,
	}
}

// releaseIf renders a release that need not be there.
func releaseIf(r *config.Release) *setpointv1.Release {
	if r == nil {
		return nil
	}
	return releaseOf(*r)
}

func changeItemOf(i config.ChangeItem) *setpointv1.ChangeItem {
	return &setpointv1.ChangeItem{
		Path: i.Path.String(), Version: i.Version, Format: i.Format, Digest: i.Digest, Size: i.Size,
		Unchanged: i.Unchanged, Deleted: i.Deleted,
	}
}

func changeSetOf(s config.ChangeSet) *setpointv1.ChangeSet {
	m := &setpointv1.ChangeSet{
		Id: s.ID, Tenant: s.Tenant, Action: sourceKindWords.of(config.SourceKind(s.Action)), Author: s.Author,
		Time: timeOf(s.Time), Comment: s.Comment, Items: all(s.Items, changeItemOf), Ended: s.Ended, Revision: string(s.Revision),
	}
	if s.Launch != nil {
		m.Launch = launchOf(*s.Launch)
	}
	return m
}
