package client_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/backup"
)

func TestTenantsAreExportedWhole(t *testing.T) {
	created := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	var file bytes.Buffer
	wrote, err := backup.Write(t.Context(), &file, backup.Header{Installation: "k3vwq2ab", Created: created, Version: "1.2.3", Tenant: "acme"},
		func(_ context.Context, w io.Writer) (int64, error) {
			return 42, backup.WriteRecord(w, backup.Record{Kind: 't'})
		})
	if err != nil {
		t.Fatal(err)
	}
	answer, asked := file.Bytes(), ""
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = describe(r)
		_, _ = w.Write(answer)
	}))
	var out bytes.Buffer
	got, err := c.ExportTenant(t.Context(), "acme", &out)
	want := client.TenantExport{Tenant: "acme", Installation: "k3vwq2ab", Created: created, Version: "1.2.3", Revision: 42, Size: wrote.Size}
	if diff := cmp.Diff(want, got); diff != "" || err != nil || !bytes.Equal(answer, out.Bytes()) || asked != "GET /v1/tenants/acme/export" {
		t.Errorf("asked %q, %v (-want +got):\n%s", asked, err, diff)
	}
	for _, bad := range [][]byte{nil, answer[:len(answer)-1], append(bytes.Clone(answer), 0), append([]byte("setpoint backup\n"), answer[16:]...)} {
		answer = bad
		if got, err := c.ExportTenant(t.Context(), "acme", io.Discard); config.KindOf(err) != config.Unavailable {
			t.Errorf("%d bytes: want them refused, got %+v, %v", len(bad), got, err)
		}
	}
	if _, err := c.ExportTenant(t.Context(), "a/b", io.Discard); config.KindOf(err) != config.Invalid {
		t.Errorf("want no such name asked for, got %v", err)
	}
}

func TestTenantsAreImported(t *testing.T) {
	asked, status := "", http.StatusCreated
	answer := `{"tenant":{"name":"copy"},"installation":"k3vwq2ab","name":"acme","contents":{"configs":3,"launches":2}}`
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = describe(r) + " " + r.Header.Get("Content-Type")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	got, err := c.ImportTenant(t.Context(), client.ImportTenant{Export: strings.NewReader("the file"), As: "copy", Discard: true})
	want := client.TenantImport{Tenant: config.Tenant{Name: "copy"}, Installation: "k3vwq2ab", Name: "acme", Contents: client.TenantContents{Configs: 3, Launches: 2}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if want := "POST /v1/tenants/import?as=copy&discard=true the file application/octet-stream"; asked != want {
		t.Errorf("want %q, got %q", want, asked)
	}
	answer = "<html>"
	if _, err := c.ImportTenant(t.Context(), client.ImportTenant{Export: strings.NewReader("")}); config.KindOf(err) != config.Internal {
		t.Errorf("want it refused, got %v", err)
	}
	status, answer = http.StatusConflict, `{"code":"already_exists","detail":"there is a tenant of this name"}`
	if _, err := c.ImportTenant(t.Context(), client.ImportTenant{Export: strings.NewReader("")}); config.KindOf(err) != config.Exists {
		t.Errorf("want what the server said, got %v", err)
	}
}
