package grpc

import (
	"bytes"
	"errors"
	"io"
	"testing"

	rpc "google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

// collect takes a file in, whole.
func collect[M interface{ GetData() []byte }](t *testing.T, recv func() (M, error)) []byte {
	t.Helper()
	var whole []byte
	for {
		m, err := recv()
		if errors.Is(err, io.EOF) {
			return whole
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(m.GetData()) > pieceSize {
			t.Errorf("want pieces of at most %d bytes, got %d", pieceSize, len(m.GetData()))
		}
		whole = append(whole, m.GetData()...)
	}
}

func TestTransfers(t *testing.T) {
	n := start(t)
	content := `"` + string(bytes.Repeat([]byte("0123456789"), 20_000)) + `"` // more than one piece
	n.publish("a.json", content, "b.yaml", "b: 1\n")
	_, err := n.Center.CreateEnv(n.root, config.Env{Tenant: prod.Tenant, App: prod.App, Name: "copy"})
	n.must(err)
	c := setpointv1.NewTransferServiceClient(n.admin().conn)

	for _, format := range []setpointv1.ArchiveFormat{0, setpointv1.ArchiveFormat_ARCHIVE_FORMAT_TAR_GZ} {
		out, err := c.ExportEnv(n.ctx(), &setpointv1.ExportEnvRequest{Env: prod.String(), Format: format})
		n.must(err)
		archive := collect(t, out.Recv)
		files, err := center.ReadArchive(archive, 1<<20, 10)
		if err != nil || len(files) != 2 || string(files[0].Content) != content {
			t.Fatalf("want an archive of both, got %d files, %v", len(files), err)
		}
		in, err := c.ImportEnv(n.ctx())
		n.must(err)
		n.must(in.Send(&setpointv1.ImportEnvRequest{Part: &setpointv1.ImportEnvRequest_Start{Start: &setpointv1.ImportEnvStart{Env: "acme/shop/copy", Comment: "copied"}}}))
		for piece := range bytes.SplitAfterSeq(archive, []byte{0}) {
			n.must(in.Send(&setpointv1.ImportEnvRequest{Part: &setpointv1.ImportEnvRequest_Data{Data: piece}}))
		}
		did, err := in.CloseAndRecv()
		n.must(err)
		if got := did.GetCreated() + did.GetUnchanged(); got != 2 || did.GetChangeSet().GetAction() != setpointv1.SourceKind_SOURCE_KIND_IMPORT {
			t.Errorf("want two configs imported, got %v", did)
		}
	}

	out, err := c.ExportTenant(n.ctx(), &setpointv1.ExportTenantRequest{Tenant: prod.Tenant})
	n.must(err)
	export := collect(t, out.Recv)
	in, err := c.ImportTenant(n.ctx())
	n.must(err)
	n.must(in.Send(&setpointv1.ImportTenantRequest{Part: &setpointv1.ImportTenantRequest_Start{Start: &setpointv1.ImportTenantStart{Name: "twin"}}}))
	n.must(in.Send(&setpointv1.ImportTenantRequest{Part: &setpointv1.ImportTenantRequest_Data{Data: export}}))
	made, err := in.CloseAndRecv()
	n.must(err)
	if made.GetTenant().GetName() != "twin" || made.GetName() != prod.Tenant || made.GetContents().GetConfigs() != 4 {
		t.Errorf("want a twin with four configs, got %v", made)
	}
}

func TestTransfersThatGoWrong(t *testing.T) {
	n := start(t)
	c := setpointv1.NewTransferServiceClient(n.admin().conn)
	begin := &setpointv1.ImportEnvRequest{Part: &setpointv1.ImportEnvRequest_Start{Start: &setpointv1.ImportEnvStart{Env: prod.String()}}}
	data := &setpointv1.ImportEnvRequest{Part: &setpointv1.ImportEnvRequest_Data{Data: []byte("no archive")}}
	for name, parts := range map[string][]*setpointv1.ImportEnvRequest{
		"nothing": {}, "no start": {data}, "a start twice": {begin, begin}, "no archive": {begin, data}, "an empty one": {begin},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := c.ImportEnv(n.ctx())
			n.must(err)
			for _, p := range parts {
				if err := in.Send(p); err != nil && !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
			}
			_, err = in.CloseAndRecv()
			refused(t, name, codes.InvalidArgument, err)
		})
	}
	tenant, err := c.ImportTenant(n.ctx())
	n.must(err)
	_, err = tenant.CloseAndRecv()
	refused(t, "a tenant of nothing", codes.InvalidArgument, err)
	out, err := c.ExportEnv(n.ctx(), &setpointv1.ExportEnvRequest{Env: "acme/shop/none"})
	n.must(err)
	_, err = out.Recv()
	refused(t, "an env that is not there", codes.NotFound, err)
	var backup rpc.ServerStreamingClient[setpointv1.CreateBackupResponse]
	backup, err = setpointv1.NewClusterServiceClient(n.user("operator", auth.Grant{Role: auth.RoleAdmin}).conn).CreateBackup(n.ctx(), &setpointv1.CreateBackupRequest{})
	n.must(err)
	_, err = backup.Recv()
	refused(t, "a store that makes no backups", codes.Unimplemented, err)
}
