package grpc

import (
	"cmp"
	"context"
	"errors"
	"io"
	"time"

	rpc "google.golang.org/grpc"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

// pieceSize is how much of a file goes into one message.
const pieceSize = 64 << 10

// sender sends what is written to it in pieces.
type sender struct {
	buf  []byte
	send func(data []byte) error // may keep what it gets
}

// Write implements io.Writer.
func (s *sender) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if s.buf == nil {
			s.buf = make([]byte, 0, pieceSize)
		}
		room := min(pieceSize-len(s.buf), len(b))
		s.buf, b = append(s.buf, b[:room]...), b[room:]
		if len(s.buf) == pieceSize {
			if err := s.flush(); err != nil {
				return n - len(b), err
			}
		}
	}
	return n, nil
}

func (s *sender) flush() error {
	if len(s.buf) == 0 {
		return nil
	}
	data := s.buf
	s.buf = nil
	return s.send(data)
}

// steadily does something in which it waits for the client, and gives the client
// up that makes it wait for long: the engine keeps what is still to be sent. What
// waits goes through while. To return from the handler is the only way to call
// off what waits in the library, so that is done in a goroutine of its own.
func (a *api) steadily(ctx context.Context, do func(ctx context.Context, while func(func() error) error) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := a.settings.StreamWriteTimeout
	timer := time.AfterFunc(patience, func() {
		cancel(config.Errorf(config.Timeout, "", "", "the client was silent for %s", patience))
	})
	timer.Stop()
	defer timer.Stop()
	while := func(wait func() error) error {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		timer.Reset(patience)
		defer timer.Stop()
		return wait()
	}
	done := make(chan error, 1)
	run := func() { done <- a.guarded(ctx, func() error { return do(ctx, while) }) }
	if !a.streams.run(run) {
		return errGoing("")
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-a.cutting:
		return errGoing("")
	}
}

// sendAll sends what write writes.
func (a *api) sendAll(ctx context.Context, write func(context.Context, *sender) error, send func([]byte) error) error {
	return a.steadily(ctx, func(ctx context.Context, while func(func() error) error) error {
		w := &sender{send: func(data []byte) error { return while(func() error { return send(data) }) }}
		if err := write(ctx, w); err != nil {
			return err
		}
		return w.flush()
	})
}

// ExportEnv implements setpointv1.TransferServiceServer.
func (s *service) ExportEnv(in *setpointv1.ExportEnvRequest, out rpc.ServerStreamingServer[setpointv1.ExportEnvResponse]) error {
	var q asked
	export := center.Export{
		Env: q.path("env", in.GetEnv()), Names: in.GetNames(),
		Format: cmp.Or(word(&q, "format", archiveFormatWords, in.GetFormat()), center.Zip),
	}
	if q.err != nil {
		return q.err
	}
	return s.sendAll(out.Context(), func(ctx context.Context, w *sender) error {
		return s.center.Export(ctx, export, w)
	}, func(data []byte) error { return out.Send(&setpointv1.ExportEnvResponse{Data: data}) })
}

// ExportTenant implements setpointv1.TransferServiceServer.
func (s *service) ExportTenant(in *setpointv1.ExportTenantRequest, out rpc.ServerStreamingServer[setpointv1.ExportTenantResponse]) error {
	return s.sendAll(out.Context(), func(ctx context.Context, w *sender) error {
		_, err := s.center.ExportTenant(ctx, in.GetTenant(), w)
		return err
	}, func(data []byte) error { return out.Send(&setpointv1.ExportTenantResponse{Data: data}) })
}

// errNoStart is the error of a transfer that does not say first what it is.
func errNoStart() error {
	return malformed("start", "the first message says what is to be done, and only that")
}

// receiver reads the pieces that a client sends.
type receiver struct {
	next func() ([]byte, error)
	rest []byte
	err  error
}

// Read implements io.Reader.
func (r *receiver) Read(b []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.rest, r.err = r.next()
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// ImportEnv implements setpointv1.TransferServiceServer.
func (s *service) ImportEnv(in rpc.ClientStreamingServer[setpointv1.ImportEnvRequest, setpointv1.ImportEnvResponse]) error {
	return s.steadily(in.Context(), func(ctx context.Context, while func(func() error) error) error {
		next := func() (m *setpointv1.ImportEnvRequest, err error) {
			err = while(func() error { m, err = in.Recv(); return err })
			return m, err
		}
		first, err := next()
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		result, err := s.importEnv(ctx, first.GetStart(), &receiver{next: func() ([]byte, error) {
			m, err := next()
			if err == nil && m.GetStart() != nil {
				err = errNoStart()
			}
			return m.GetData(), err
		}})
		if err != nil {
			return err
		}
		return while(func() error { return in.SendAndClose(result) })
	})
}

func (s *service) importEnv(ctx context.Context, start *setpointv1.ImportEnvStart, archive io.Reader) (*setpointv1.ImportEnvResponse, error) {
	if start == nil {
		return nil, errNoStart()
	}
	var q asked
	imported := center.Import{
		Env: q.path("start.env", start.GetEnv()), Comment: start.GetComment(), DryRun: start.GetDryRun(), Prune: start.GetPrune(),
		ReleaseOptions: q.options("start.options", start.GetOptions()),
	}
	if q.err != nil {
		return nil, q.err
	}
	limits := s.center.Limits()
	// It is compressed, or has little beside the content.
	most := 4*int64(limits.ChangeSetSize) + 1<<20
	content, err := io.ReadAll(io.LimitReader(archive, most+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(content)) > most:
		return nil, config.Errorf(config.TooLarge, "env.import", start.GetEnv(), "the archive is larger than the %d bytes that may be sent", most)
	}
	if imported.Files, err = center.ReadArchive(content, int64(limits.ChangeSetSize), limits.ChangeSetConfigs); err != nil {
		return nil, err
	}
	r, err := s.center.Import(ctx, imported)
	return &setpointv1.ImportEnvResponse{
		ChangeSet: changeSetOf(r.ChangeSet), Created: int32(r.Created), Changed: int32(r.Changed),
		Unchanged: int32(r.Unchanged), Pruned: int32(r.Pruned),
	}, err
}

// ImportTenant implements setpointv1.TransferServiceServer.
func (s *service) ImportTenant(in rpc.ClientStreamingServer[setpointv1.ImportTenantRequest, setpointv1.ImportTenantResponse]) error {
	return s.steadily(in.Context(), func(ctx context.Context, while func(func() error) error) error {
		next := func() (m *setpointv1.ImportTenantRequest, err error) {
			err = while(func() error { m, err = in.Recv(); return err })
			return m, err
		}
		first, err := next()
		switch {
		case err != nil && !errors.Is(err, io.EOF):
			return err
		case first.GetStart() == nil:
			return errNoStart()
		}
		made, err := s.center.ImportTenant(ctx, center.ImportTenant{
			As: first.GetStart().GetName(), Discard: first.GetStart().GetDiscard(),
			From: &receiver{next: func() ([]byte, error) {
				m, err := next()
				if err == nil && m.GetStart() != nil {
					err = errNoStart()
				}
				return m.GetData(), err
			}},
		})
		if err != nil {
			return err
		}
		return while(func() error { return in.SendAndClose(tenantImportOf(made)) })
	})
}

func tenantImportOf(made center.TenantImport) *setpointv1.ImportTenantResponse {
	c := made.Contents
	return &setpointv1.ImportTenantResponse{
		Tenant: tenantOf(made.Tenant), Installation: made.Installation, Name: made.Name, Exported: timeOf(made.Exported),
		Contents: &setpointv1.TenantContents{
			Apps: c.Apps, Envs: c.Envs, Configs: c.Configs, Rollouts: c.Rollouts, Drafts: c.Drafts,
			Launches: c.Launches, Releases: c.Releases, AuditRecords: c.AuditRecords,
		},
	}
}
