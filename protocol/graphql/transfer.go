package graphql

import (
	"bytes"
	"context"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/graphql/internal/model"
)

// ExportEnv implements exec.QueryResolver.
func (q query) ExportEnv(ctx context.Context, env config.Path, names []string, format center.ArchiveFormat) ([]byte, error) {
	archive := bounded{ctx: ctx}
	err := q.center.Export(ctx, center.Export{Env: env, Names: names, Format: format}, &archive)
	return archive.Bytes(), err
}

// bounded holds what is written to it, as far as it may be in an answer.
type bounded struct {
	bytes.Buffer
	ctx context.Context //nolint:containedctx // it is used within one call
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	if err := model.Spend(b.ctx, len(p)); err != nil {
		return 0, err
	}
	return b.Buffer.Write(p)
}

// ImportEnv implements exec.MutationResolver.
func (m mutation) ImportEnv(ctx context.Context, in model.ImportEnvInput) (*center.ImportResult, error) {
	limits := m.center.Limits()
	files, err := center.ReadArchive(in.Archive, int64(limits.ChangeSetSize), limits.ChangeSetConfigs)
	if err != nil {
		return nil, err
	}
	return some(m.center.Import(ctx, center.Import{
		Env: in.Env, Files: files, Comment: in.Comment, DryRun: in.DryRun, Prune: in.Prune, ReleaseOptions: in.Options,
	}))
}
