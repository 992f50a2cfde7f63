package rest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/internal/backup"
)

// snapshotter writes what the test says.
type snapshotter func(ctx context.Context, w io.Writer) (int64, error)

func (s snapshotter) Snapshot(ctx context.Context, w io.Writer) (int64, error) { return s(ctx, w) }

// backedUp runs a node whose store writes these snapshots.
func backedUp(t testing.TB, snapshot snapshotter) *server {
	return startWith(t, func(o *center.Options) { o.Snapshotter, o.EngineName, o.Version = snapshot, "fake", "1.2.3" })
}

func TestBackupIsOneWholeFile(t *testing.T) {
	content := make([]byte, 3<<20)
	_, _ = rand.Read(content)
	s := backedUp(t, func(_ context.Context, w io.Writer) (int64, error) {
		_, err := w.Write(content)
		return 42, err
	})
	r := s.do(request{path: "/v1/backup"})
	if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "application/octet-stream" || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %d, %v", r.StatusCode, r.Header)
	}
	disposition, params, err := mime.ParseMediaType(r.Header.Get("Content-Disposition"))
	name := regexp.MustCompile(`^setpoint-[a-z0-9]{8}-\d{8}T\d{6}Z\.backup$`)
	if err != nil || disposition != "attachment" || !name.MatchString(params["filename"]) {
		t.Errorf("want a name for the file, got %q", r.Header.Get("Content-Disposition"))
	}
	h, b, err := backup.Open(bytes.NewReader(r.body))
	s.must(err)
	got, err := io.ReadAll(b)
	if err != nil || !bytes.Equal(content, got) || b.Info().Revision != 42 || h.Version != "1.2.3" {
		t.Errorf("want the snapshot back, got %d bytes of %+v, %v", len(got), b.Info(), err)
	}
}

// TestBackupThatBreaksOffIsNotTakenForWhole breaks snapshots at several places.
func TestBackupThatBreaksOffIsNotTakenForWhole(t *testing.T) {
	var size atomic.Int64
	s := backedUp(t, func(_ context.Context, w io.Writer) (int64, error) {
		content := make([]byte, size.Load())
		_, _ = rand.Read(content)
		_, _ = w.Write(content)
		return 0, errors.New("the disk is broken")
	})
	for _, n := range []int64{0, 1000, 1 << 20, 3 << 20} {
		size.Store(n)
		resp, err := s.http.Do(s.request(request{path: "/v1/backup"}))
		if err != nil {
			continue // cut off before the first byte arrived
		}
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err == nil {
			t.Errorf("%d bytes: the answer of status %d looks whole", n, resp.StatusCode)
		}
	}
	if !strings.Contains(s.log.String(), "the disk is broken") {
		t.Error("want the cause in the log")
	}
}

func TestBackupAnswersWhatCannotBeWithAProblem(t *testing.T) {
	var made atomic.Int64
	s := backedUp(t, func(context.Context, io.Writer) (int64, error) {
		made.Add(1)
		return 1, nil
	})
	s.problem(http.StatusForbidden, "denied", s.do(request{path: "/v1/backup", auth: s.viewer}))
	s.problem(http.StatusUnauthorized, "unauthenticated", s.do(request{path: "/v1/backup", auth: "-"}))
	s.problem(http.StatusBadRequest, "invalid", s.do(request{path: "/v1/backup?gzip=1"}))
	if r := s.do(request{method: http.MethodHead, path: "/v1/backup"}); r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "GET" {
		t.Errorf("HEAD: want 405, got %d", r.StatusCode)
	}
	if made.Load() != 0 {
		t.Errorf("want no backup made, got %d", made.Load())
	}
	without := start(t)
	without.problem(http.StatusNotImplemented, "unsupported", without.do(request{path: "/v1/backup"}))
}
