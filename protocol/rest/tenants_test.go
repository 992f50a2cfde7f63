package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/plugin"
	"github.com/setpointhq/setpoint/store"
)

func (s *server) importTenant(body, query string) reply {
	return s.do(request{method: http.MethodPost, path: "/v1/tenants/import" + query, body: body, header: map[string]string{"Content-Type": mediaTypeBytes}})
}

func TestATenantLeavesByOneRouteAndComesBackByAnother(t *testing.T) {
	s := start(t)
	s.publish("acme/shop/prod/app.yaml", "a: 1\n")
	s.publish("acme/shop/prod/app.yaml", "a: 2\n")
	export := s.do(request{path: "/v1/tenants/acme/export"})
	if h := export.Header; export.StatusCode != http.StatusOK || h.Get("Content-Type") != mediaTypeBytes ||
		h.Get("Content-Disposition") != `attachment; filename="acme.tenant"` || h.Get("Cache-Control") != "no-store" {
		t.Errorf("got %d, %v", export.StatusCode, h)
	}
	file := string(export.body)
	s.problem(http.StatusConflict, "already_exists", s.importTenant(file, ""))
	r := s.importTenant(file, "?as=copy")
	var done center.TenantImport
	if err := json.Unmarshal(r.body, &done); err != nil || r.StatusCode != http.StatusCreated || r.Header.Get("Location") != "/v1/tenants/copy" {
		t.Fatalf("want 201 and where it is, got %d %v %s", r.StatusCode, r.Header, r.body)
	}
	if done.Tenant.Name != "copy" || done.Tenant.Revision == "" || done.Name != "acme" || done.Contents.Releases != 2 {
		t.Errorf("want it told what came, got %+v", done)
	}
	if r := s.do(request{path: "/v1/configs/copy/shop/prod/app.yaml"}); string(r.body) != "a: 2\n" || r.Header.Get("Setpoint-Version") != "2" {
		t.Errorf("want it served, got %q %v", r.body, r.Header)
	}
}

func TestTenantRoutesAnswerWhatCannotBeWithAProblem(t *testing.T) {
	s := start(t)
	file := string(s.do(request{path: "/v1/tenants/acme/export"}).body)
	s.problem(http.StatusNotFound, "not_found", s.do(request{path: "/v1/tenants/ghost/export"}))
	s.problem(http.StatusBadRequest, "invalid", s.do(request{path: "/v1/tenants/acme/export?zip=1"}))
	s.problem(http.StatusForbidden, "denied", s.do(request{path: "/v1/tenants/acme/export", auth: s.viewer}))
	if r := s.do(request{method: http.MethodHead, path: "/v1/tenants/acme/export"}); r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "GET" {
		t.Errorf("HEAD: want 405, got %d", r.StatusCode)
	}
	s.problem(http.StatusBadRequest, "invalid", s.importTenant("", "?as=copy"))
	s.problem(http.StatusBadRequest, "invalid", s.importTenant(file[:len(file)-1], "?as=copy"))
	s.problem(http.StatusBadRequest, "invalid", s.importTenant(file, "?as=No"))
	s.problem(http.StatusBadRequest, "invalid", s.importTenant(file, "?as=copy&discard=perhaps"))
	s.problem(http.StatusBadRequest, "invalid", s.importTenant(file, "?to=copy"))
	if r := s.do(request{method: http.MethodPost, path: "/v1/tenants/import", body: file, header: map[string]string{"Content-Type": "application/zip"}}); r.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("want 415, got %d", r.StatusCode)
	}
	limited := startWith(t, func(o *center.Options) { o.Limits.TenantSize = plugin.MiB })
	limited.problem(http.StatusRequestEntityTooLarge, "too_large", limited.importTenant(strings.Repeat("x", 2<<20), ""))
	if r := s.do(request{path: "/v1/tenants/copy"}); r.StatusCode != http.StatusNotFound {
		t.Errorf("want nothing made, got %d", r.StatusCode)
	}
}

// torn fails to read releases, which an export comes to late.
type torn struct{ store.Store }

func (b torn) Range(ctx context.Context, q store.Query) (store.Page, error) {
	if q.Revision > 0 && strings.HasPrefix(q.Key, record.Releases.Prefix()) {
		return store.Page{}, errors.New("the disk is broken")
	}
	return b.Store.Range(ctx, q)
}

func TestAnExportThatBreaksOffIsNotTakenForWhole(t *testing.T) {
	s := startWith(t, func(o *center.Options) { o.Store = torn{o.Store} })
	resp, err := s.http.Do(s.request(request{path: "/v1/tenants/acme/export"}))
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	if err == nil {
		t.Errorf("the answer of status %d looks whole", resp.StatusCode)
	}
	if !strings.Contains(s.log.String(), "the disk is broken") {
		t.Error("want the cause in the log")
	}
}

// TestAnUploadThatBreaksOffChangesNothing sends half of a body and goes away.
func TestAnUploadThatBreaksOffChangesNothing(t *testing.T) {
	s := start(t)
	file := s.do(request{path: "/v1/tenants/acme/export"}).body
	q := s.request(request{method: http.MethodPost, path: "/v1/tenants/import?as=copy", header: map[string]string{"Content-Type": mediaTypeBytes}})
	body, half := io.Pipe()
	go func() {
		_, _ = io.Copy(half, bytes.NewReader(file[:len(file)/2]))
		half.CloseWithError(errors.New("the cable was pulled"))
	}()
	q.Body, q.ContentLength = body, -1
	if resp, err := s.http.Do(q); err == nil {
		resp.Body.Close()
		t.Errorf("want no answer, got %d", resp.StatusCode)
	}
	if r := s.do(request{path: "/v1/tenants/copy"}); r.StatusCode != http.StatusNotFound {
		t.Errorf("want nothing made, got %d", r.StatusCode)
	}
}
