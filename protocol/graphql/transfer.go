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
	archive := bounded{room: q.maxBody}
	if err := q.center.Export(ctx, center.Export{Env: env, Names: names, Format: format}, &archive); err != nil {
		return nil, err
	}
	return archive.Bytes(), nil
}

// bounded holds what is written to it, up to a size.
type bounded struct {
	bytes.Buffer
	room int64
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	if b.room -= int64(len(p)); b.room < 0 {
		return 0, config.Errorf(config.TooLarge, "env.export", "", "the archive is larger than an answer may be; export over REST or gRPC, or fewer configs at a time")
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
