package graphql

import (
	"context"
	"runtime"
	"time"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/graphql/internal/model"
	"github.com/setpointhq/setpoint/protocol/internal/fragment"
)

// Version implements exec.QueryResolver.
func (q query) Version(context.Context) (*model.Version, error) {
	return &model.Version{Version: q.version, GoVersion: runtime.Version(), Time: time.Now()}, nil
}

// Read implements exec.QueryResolver.
func (q query) Read(ctx context.Context, path config.Path, freshness *center.Freshness, heldDigest *string) (*model.Reading, error) {
	served, err := q.center.Get(ctx, center.Read{Path: path, Client: clientOf(ctx), Protocol: Name, Freshness: given(freshness)})
	if err != nil {
		return nil, err
	}
	answer := &model.Reading{Revision: served.Revision, Stale: q.stale(), Unchanged: given(heldDigest) == served.Release.Digest}
	answer.Release = model.NewServedRelease(served.Release, q.loader(answer.Unchanged))
	return answer, nil
}

// ReadEnv implements exec.QueryResolver.
func (q query) ReadEnv(ctx context.Context, env config.Path, freshness *center.Freshness, heldDigest *string) (*model.EnvReading, error) {
	snapshot, err := q.center.Snapshot(ctx, center.ReadEnv{Env: env, Client: clientOf(ctx), Protocol: Name, Freshness: given(freshness)})
	if err != nil {
		return nil, err
	}
	digest, _ := fragment.Fingerprint(snapshot.Releases)
	answer := &model.EnvReading{Revision: snapshot.Revision, Digest: digest, Stale: q.stale(), Unchanged: given(heldDigest) == digest}
	if !answer.Unchanged {
		for _, release := range snapshot.Releases {
			answer.Releases = append(answer.Releases, model.NewServedRelease(release, q.center.Content))
		}
	}
	return answer, nil
}

// loader fetches contents, unless the client has them.
func (a *api) loader(held bool) model.Loader {
	if held {
		return nil
	}
	return a.center.Content
}

// stale tells for how long the node has been cut off; nil if it is not.
func (a *api) stale() *time.Duration {
	if d := a.center.Staleness(); d > 0 {
		return &d
	}
	return nil
}

// Report implements exec.MutationResolver.
func (m mutation) Report(ctx context.Context, reports []center.InstanceReport) (*bool, error) {
	if len(reports) > center.MaxReports {
		return nil, config.Errorf(config.Invalid, "instance.report", "", "at most %d reports can be sent at once; got %d", center.MaxReports, len(reports))
	}
	return done(m.center.Report(ctx, center.ReportRequest{Client: clientOf(ctx), Protocol: Name, Reports: reports}))
}
