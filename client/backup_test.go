package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/backup"
)

// prove passes a file by the proof.
func prove(t testing.TB, r io.Reader) (BackupInfo, error) {
	t.Helper()
	p := &backupProof{magic: backupMagic, what: "backup", sum: sha256.New()}
	if _, err := io.Copy(p, r); err != nil {
		t.Fatal(err)
	}
	return proved[BackupInfo](p)
}

// The SDK brings no library along, so it reads by itself what package backup
// writes.
func TestBackupsAreProvedWhole(t *testing.T) {
	content := make([]byte, 2<<20)
	_, _ = rand.Read(content)
	created := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, size := range []int{0, 100, len(content)} {
		var out bytes.Buffer
		h := backup.Header{Installation: "k3vwq2ab", Created: created, Version: "1.2.3", Engine: "etcd"}
		wrote, err := backup.Write(t.Context(), &out, h, func(_ context.Context, w io.Writer) (int64, error) {
			_, err := w.Write(content[:size])
			return 1 << 40, err
		})
		if err != nil {
			t.Fatal(err)
		}
		file := out.Bytes()
		want := BackupInfo{Installation: "k3vwq2ab", Created: created, Version: "1.2.3", Engine: "etcd", Revision: 1 << 40, Size: wrote.Size}
		for how, r := range map[string]io.Reader{"at once": bytes.NewReader(file), "by halves": iotest.HalfReader(bytes.NewReader(file))} {
			got, err := prove(t, r)
			if err != nil || cmp.Diff(want, got) != "" {
				t.Errorf("%d bytes %s: want %+v, got %+v, %v", size, how, want, got, err)
			}
		}
		if got, want := want.FileName(), backup.FileName("k3vwq2ab", created); got != want {
			t.Errorf("want the name %s, got %s", want, got)
		}
		for _, n := range []int{0, 1, 30, 60, len(file) / 2, len(file) - 1} {
			wantUnproved(t, file[:n])
			flipped := bytes.Clone(file)
			flipped[n] ^= 4
			wantUnproved(t, flipped)
		}
		wantUnproved(t, append(bytes.Clone(file), 0))
	}
}

func wantUnproved(t testing.TB, file []byte) {
	t.Helper()
	if got, err := prove(t, bytes.NewReader(file)); config.KindOf(err) != config.Unavailable {
		t.Errorf("%d bytes: want them refused, got %+v, %v", len(file), got, err)
	}
}

func FuzzBackupProof(f *testing.F) {
	f.Add([]byte(backupMagic))
	f.Add(bytes.Repeat([]byte{0xff}, 200))
	f.Fuzz(func(t *testing.T, file []byte) {
		// Signed, so that what is behind the digest is reached.
		sum := sha256.Sum256(file)
		if info, err := prove(t, bytes.NewReader(append(file, sum[:]...))); err == nil && info.FileName() == "" {
			t.Error("no name")
		}
	})
}
