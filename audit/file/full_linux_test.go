package file_test

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/audit/audittest"
	"github.com/setpointhq/setpoint/audit/file"
	"github.com/setpointhq/setpoint/config"
)

const (
	folderVariable = "AUDIT_FILE_TEST_FOLDER"
	limit          = 4096
)

// TestAFullDiskLeavesNoHalfOfABatch runs itself as a process that may write no
// file larger than a limit: the kernel then takes a part of a batch and refuses
// the rest, as it does when a disk is full.
func TestAFullDiskLeavesNoHalfOfABatch(t *testing.T) {
	folder := os.Getenv(folderVariable)
	if folder == "" {
		folder = t.TempDir()
		test := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAFullDiskLeavesNoHalfOfABatch$")
		test.Env = append(os.Environ(), folderVariable+"="+folder)
		if out, err := test.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		var got []string
		for _, r := range read(t, filepath.Join(folder, "audit.jsonl")) {
			got = append(got, strings.TrimLeft(r.ID, "0"))
		}
		if diff := cmp.Diff(strings.Fields("1 2 3 101"), got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		return
	}
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
		t.Fatal(err)
	}
	var s file.Settings
	s.Defaults()
	sink, err := s.Open(t.Context(), audit.Env{DataDir: folder})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	if err := sink.Write(t.Context(), audittest.Records(1, 3)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		err := sink.Write(t.Context(), audittest.Records(4, 50))
		if want, got := config.Unavailable, config.KindOf(err); want != got || !errors.Is(err, syscall.EFBIG) {
			t.Fatalf("want %v, got %v: %v", want, got, err)
		}
	}
	if err := sink.Write(t.Context(), audittest.Records(101, 1)); err != nil {
		t.Fatal(err)
	}
}
