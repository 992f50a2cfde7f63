package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/setpointhq/setpoint/client"
)

// sunk reads the ids of the records in a sink's file, in their order. A line
// that is not whole yet does not count.
func sunk(t *testing.T, file string) (ids []string) {
	t.Helper()
	f, err := os.Open(file)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var rec struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(lines.Bytes(), &rec) == nil && rec.ID != "" {
			ids = append(ids, rec.ID)
		}
	}
	return ids
}

// TestASinkHasEveryRecord kills the server while records are on their way to a
// file, and looks for each of them there.
func TestASinkHasEveryRecord(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	s := start(t, "AUDIT=file", "AUDIT_FILE_PATH="+file)
	build(t, s.root(), "acme/shop/prod")
	for round := range 3 {
		for i := range 20 {
			publish(t, s.root(), "acme/shop/prod/app.json", fmt.Sprintf(`{"n": %d}`, 20*round+i))
		}
		s.kill9()
		s.restart()
	}
	var want []string
	for _, tenant := range []string{"acme", ""} {
		for _, rec := range collect(t, s.root().Audit(t.Context(), tenant, client.AuditFilter{})) {
			want = append(want, rec.ID)
		}
	}
	if len(want) < 60 {
		t.Fatalf("want a record of each publish, got %d", len(want))
	}
	s.until("the sink to have every record", func() bool {
		there := map[string]bool{}
		for _, id := range sunk(t, file) {
			there[id] = true
		}
		return !slices.ContainsFunc(want, func(id string) bool { return !there[id] })
	})
}
