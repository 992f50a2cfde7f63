package etcd_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/etcd"
)

// crashDir names, to a copy of this test program, the data that it is to write.
const crashDir = "SETPOINT_TEST_CRASH_DIR"

// writeUntilKilled commits from several writers and prints what was acknowledged.
func writeUntilKilled(dir string) {
	var c etcd.Settings
	c.Defaults()
	c.DataDir = dir
	s, err := c.Open(context.Background(), store.Env{})
	if err != nil {
		fmt.Fprintln(os.Stdout, "open:", err)
		os.Exit(1)
	}
	acked := make(chan string)
	for w := range 8 {
		go func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("k/%d/%d", w, i)
				rev, err := s.Commit(context.Background(), store.Txn{
					Conds:  []store.Cond{{Key: key}},
					Writes: []store.Write{{Key: key, Value: []byte("v")}, {Key: key + "/second", Value: []byte("v")}},
				})
				if err != nil {
					acked <- "error " + err.Error()
					return
				}
				acked <- fmt.Sprintf("%s %d", key, rev)
			}
		}()
	}
	for line := range acked {
		fmt.Fprintln(os.Stdout, line)
	}
}

// What was acknowledged is there after a kill -9 in the midst of a write storm,
// and nothing is there by half.
func TestEmbeddedSurvivesKill(t *testing.T) {
	t.Parallel()
	c := settings(t)
	acked := map[string]int64{}
	for round := range 2 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), crashDir+"="+c.DataDir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines, n := bufio.NewScanner(out), 0
		for lines.Scan() {
			// A second start meets the first one's keys; its conflicts say that they are there.
			key, rev, ok := strings.Cut(lines.Text(), " ")
			revision, err := strconv.ParseInt(rev, 10, 64)
			if !ok || err != nil {
				if round > 0 && strings.Contains(lines.Text(), "conflict") {
					if n++; n == 8 {
						break
					}
					continue
				}
				t.Fatalf("the writer said %q", lines.Text())
			}
			acked[key] = revision
			if n++; n == 500 {
				break
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what it still got out was acknowledged, too
			if key, rev, ok := strings.Cut(lines.Text(), " "); ok && key != "error" {
				if revision, err := strconv.ParseInt(rev, 10, 64); err == nil {
					acked[key] = revision
				}
			}
		}
		_ = cmd.Wait()
	}
	s := mustOpen(t, c)
	defer s.Close()
	page, err := s.Range(t.Context(), store.Query{Prefix: true})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, e := range page.Entries {
		got[e.Key] = e.Revision
	}
	if len(acked) < 500 {
		t.Errorf("only %d commits were acknowledged", len(acked))
	}
	for key, rev := range acked {
		if got[key] != rev {
			t.Errorf("%s was acknowledged at %d, is at %d", key, rev, got[key])
		}
	}
	for key, rev := range got {
		if !strings.HasSuffix(key, "/second") && got[key+"/second"] != rev {
			t.Errorf("%s is there by half", key)
		}
	}
}
