package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// bench is an agent's parts around a folder, with commands that the test plays.
type bench struct {
	*testing.T
	dir    string
	home   *home
	keeper *keeper
	source *fakeSource
	ran    []string // the commands, each with what the first file held then
	// play says how a command ends; nil for well.
	play func(command string) error
}

// newBench reads settings in which $DIR is a folder of the test's own.
func newBench(t *testing.T, text string) *bench {
	t.Helper()
	b := &bench{T: t, dir: t.TempDir(), home: newHome(t), source: &fakeSource{changes: make(chan snapshot)}}
	plan, s, err := planOf(&locator{file: "f.yaml"}, strings.ReplaceAll(text, "$DIR", b.dir), b.dir)
	if err != nil {
		t.Fatal(err)
	}
	b.keeper = &keeper{source: b.source, told: map[config.Path]report{}}
	shared := kit{run: b.run, home: b.home, getenv: noEnv, retry: s.Retry, jitter: func(d time.Duration) time.Duration { return d }, log: slog.New(slog.DiscardHandler)}
	for _, g := range plan.groups {
		b.keeper.groups = append(b.keeper.groups, &group{groupPlan: g, kit: shared, verdict: waiting, pending: g.ReloadOnStart})
	}
	return b
}

func (b *bench) run(_ context.Context, i invocation) error {
	env := map[string]string{}
	for _, pair := range i.env {
		k, v, _ := strings.Cut(pair, "=")
		env[k] = v
	}
	now, before := read(env["SETPOINT_NEW_1"]), read(env["SETPOINT_FILE_1"])
	b.ran = append(b.ran, fmt.Sprintf("%s new=%s file=%s", i.Command, now, before))
	if b.play != nil {
		return b.play(i.String())
	}
	return nil
}

func read(name string) string {
	text, err := os.ReadFile(name)
	if err != nil {
		return "-"
	}
	return string(text)
}

// bring has what is served brought in step.
func (b *bench) bring(force bool, pairs ...string) {
	b.Helper()
	b.keeper.served = snapshot{configs: serve(b.T, pairs...)}
	b.keeper.pass(b.Context(), force)
}

// expect compares the folder, what ran, and what was reported, since the last time.
func (b *bench) expect(files map[string]string, ran, told []string) {
	b.Helper()
	if diff := cmp.Diff(files, look(b, b.dir)); diff != "" {
		b.Errorf("files (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(ran, b.ran); diff != "" {
		b.Errorf("commands (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(told, b.source.told); diff != "" {
		b.Errorf("reports (-want +got):\n%s", diff)
	}
	b.ran, b.source.told = nil, nil
}

// fakeSource writes down what it is told.
type fakeSource struct {
	changes chan snapshot
	told    []string
}

func (f *fakeSource) Changes() <-chan snapshot { return f.changes }

func (f *fakeSource) Applied(p config.Path, version int64) {
	f.told = append(f.told, fmt.Sprintf("%s@%d applied", p.Name, version))
}

func (f *fakeSource) Refused(p config.Path, version int64, why string) {
	f.told = append(f.told, fmt.Sprintf("%s@%d refused: %s", p.Name, version, why))
}

const oneFile = `
retry: {attempts: 2, first: 1s, most: 1s}
groups:
  - files: [{config: a/b/c/one, to: $DIR/one, mode: 0600}]
    check_new: try
    check: check
    reload: reload
`

func TestApply(t *testing.T) {
	b := newBench(t, oneFile)
	b.bring(false, "a/b/c/one", "v1")
	b.expect(map[string]string{"one": "-rw------- v1"}, []string{"try new=v1 file=-", "check new=v1 file=v1", "reload new=v1 file=v1"}, []string{"one@1 applied"})
	b.bring(false, "a/b/c/one", "v1")
	b.expect(map[string]string{"one": "-rw------- v1"}, nil, nil)
	b.bring(false, "a/b/c/one@2", "v2")
	b.expect(map[string]string{"one": "-rw------- v2"}, []string{"try new=v2 file=v1", "check new=v2 file=v2", "reload new=v2 file=v2"}, []string{"one@2 applied"})
	// A version with the same content is applied already.
	b.bring(false, "a/b/c/one@3", "v2")
	b.expect(map[string]string{"one": "-rw------- v2"}, nil, []string{"one@3 applied"})
	// No longer served: the file stays.
	b.bring(false)
	b.expect(map[string]string{"one": "-rw------- v2"}, nil, nil)
	// What somebody changed by hand is mended when asked to look again.
	write(t, filepath.Join(b.dir, "one"), "mine", 0o644)
	b.bring(false)
	b.bring(true, "a/b/c/one@3", "v2")
	b.expect(map[string]string{"one": "-rw------- v2"}, []string{"try new=v2 file=mine", "check new=v2 file=v2", "reload new=v2 file=v2"}, []string{"one@3 applied"})
}

func TestFailuresPutBackWhatWasThere(t *testing.T) {
	for _, c := range []struct {
		name, fails string
		ran         []string
	}{
		{"check_new", "try", []string{"try new=new file=old"}},
		{"check", "check", []string{"try new=new file=old", "check new=new file=new"}},
		{"reload", "reload", []string{"try new=new file=old", "check new=new file=new", "reload new=new file=new", "reload new=old file=old"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, oneFile)
			write(t, filepath.Join(b.dir, "one"), "old", 0o644)
			before := look(t, b.dir)
			b.play = func(command string) error {
				if command == c.fails && len(b.ran) < 4 {
					return &commandError{command: command, err: errors.New("exit status 1"), output: "line 3 is wrong"}
				}
				return nil
			}
			b.bring(false, "a/b/c/one@2", "new")
			b.expect(before, c.ran, nil) // tried again, before it is said
			if g := b.keeper.groups[0]; g.verdict != retrying || g.attempts != 1 {
				t.Errorf("want it to be tried again, got %s after %d", g.verdict, g.attempts)
			}
			b.bring(false, "a/b/c/one@2", "new")
			b.expect(before, nil, nil) // not before it is due
			b.keeper.groups[0].next = time.Time{}
			b.bring(false, "a/b/c/one@2", "new")
			b.expect(before, c.ran, []string{"one@2 refused: " + c.name + ": " + c.fails + ": exit status 1: line 3 is wrong"})
			b.bring(false, "a/b/c/one@2", "new")
			b.expect(before, nil, nil) // refused is refused
			b.bring(false, "a/b/c/one@3", "old")
			after := map[string]string{"one": "-rw------- old"}
			b.play = nil
			b.bring(true, "a/b/c/one@3", "old")
			b.ran, b.source.told = nil, nil
			b.expect(after, nil, nil)
		})
	}
}

func TestRefusedIsTriedAgainWhenAsked(t *testing.T) {
	b := newBench(t, strings.Replace(oneFile, "attempts: 2", "attempts: 1", 1))
	b.play = func(command string) error { return errors.New("no") }
	b.bring(false, "a/b/c/one", "v1")
	b.expect(map[string]string{}, []string{"try new=v1 file=-"}, []string{"one@1 refused: check_new: no"})
	b.play = nil
	b.bring(false, "a/b/c/one", "v1")
	b.expect(map[string]string{}, nil, nil)
	b.bring(true, "a/b/c/one", "v1")
	b.expect(map[string]string{"one": "-rw------- v1"}, []string{"try new=v1 file=-", "check new=v1 file=v1", "reload new=v1 file=v1"}, []string{"one@1 applied"})
}

// A program that could not be brought back to the files of before is told of
// them as soon as it can be.
func TestReloadThatFailsTwice(t *testing.T) {
	b := newBench(t, strings.Replace(oneFile, "attempts: 2", "attempts: 1", 1))
	write(t, filepath.Join(b.dir, "one"), "old", 0o600)
	b.play = func(command string) error {
		if command == "reload" {
			return errors.New("down")
		}
		return nil
	}
	b.bring(false, "a/b/c/one@2", "new")
	b.ran, b.play = nil, nil
	b.bring(false, "a/b/c/one@3", "old") // as it is on disk, but who knows what runs
	b.expect(map[string]string{"one": "-rw------- old"}, []string{"try new=old file=old", "check new=old file=old", "reload new=old file=old"}, []string{"one@2 refused: reload: down", "one@3 applied"})
}

const manyFiles = `
groups:
  - name: first
    files:
      - {config: a/b/c/one, to: $DIR/one, remove_when_deleted: true}
      - {to: $DIR/two, template: '{{config "a/b/c/one"}}+{{config "a/b/c/shared"}}'}
    reload: first
  - name: second
    files: [{config: a/b/c/shared, to: $DIR/shared}]
    reload: second
`

func TestAllOrNothing(t *testing.T) {
	b := newBench(t, manyFiles)
	b.bring(false, "a/b/c/one", "1", "a/b/c/shared", "s")
	files := map[string]string{"one": "-rw-r----- 1", "two": "-rw-r----- 1+s", "shared": "-rw-r----- s"}
	b.expect(files, []string{"first new=1 file=1", "second new=s file=s"}, []string{"one@1 applied", "shared@1 applied"})

	// The template lacks a config: none of its group's files is touched.
	b.bring(false, "a/b/c/one@2", "2")
	b.expect(files, nil, []string{"one@2 refused: " + filepath.Join(b.dir, "two") + ": template: two:1:25: executing \"two\" at <config \"a/b/c/shared\">: " +
		"error calling config: a/b/c/shared is not served to this instance"})

	// One group likes a config, the other does not: it is refused.
	b.play = func(command string) error {
		if command == "second" {
			return errors.New("no")
		}
		return nil
	}
	b.keeper.groups[1].retry.Attempts = 1
	b.bring(false, "a/b/c/one@2", "2", "a/b/c/shared@2", "t")
	files["one"], files["two"] = "-rw-r----- 2", "-rw-r----- 2+t"
	b.expect(files, []string{"first new=2 file=2", "second new=t file=t", "second new=s file=s"}, []string{"one@2 applied", "shared@2 refused: reload: no"})

	// Said once: a report is news.
	b.bring(false, "a/b/c/one@3", "2", "a/b/c/shared@2", "t")
	b.expect(files, nil, []string{"one@3 applied"})
}

func TestRemovedWhenDeleted(t *testing.T) {
	b := newBench(t, "groups: [{files: [{config: a/b/c/one, to: $DIR/one, remove_when_deleted: true}], check: check, reload: reload}]")
	b.bring(false, "a/b/c/one", "1")
	b.expect(map[string]string{"one": "-rw-r----- 1"}, []string{"check new=1 file=1", "reload new=1 file=1"}, []string{"one@1 applied"})
	b.bring(false)
	b.expect(map[string]string{}, []string{"check new=- file=-", "reload new=- file=-"}, nil)
}

func TestReloadOnStart(t *testing.T) {
	b := newBench(t, "groups: [{files: [{config: a/b/c/one, to: $DIR/one}], reload: reload, reload_on_start: true}]")
	write(t, filepath.Join(b.dir, "one"), "1", 0o640)
	b.bring(false, "a/b/c/one", "1")
	b.expect(map[string]string{"one": "-rw-r----- 1"}, []string{"reload new=1 file=1"}, []string{"one@1 applied"})
	b.bring(true, "a/b/c/one", "1")
	b.expect(map[string]string{"one": "-rw-r----- 1"}, nil, nil)
}

// Whoever stops the agent while it checks finds the files as they were, and
// nothing said of those that were checked.
func TestStoppedWhileChecking(t *testing.T) {
	b := newBench(t, oneFile)
	write(t, filepath.Join(b.dir, "one"), "old", 0o644)
	before := look(t, b.dir)
	ctx, stop := context.WithCancel(t.Context())
	b.play = func(command string) error {
		if command == "check" {
			stop()
			return context.Cause(ctx)
		}
		return nil
	}
	b.keeper.served = snapshot{configs: serve(t, "a/b/c/one@2", "new")}
	b.keeper.pass(ctx, false)
	b.expect(before, []string{"try new=new file=old", "check new=new file=new"}, nil)
}

// The loop tries again with growing waits; a newer state takes the place of what
// is tried, and time alone never brings a refused one back.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, `
retry: {attempts: 5, first: 1s, most: 3s}
groups: [{files: [{config: a/b/c/one, to: $DIR/one}], check: check}]
`)
		begun := time.Now()
		var at []time.Duration
		b.play = func(string) error {
			at = append(at, time.Since(begun))
			return errors.New("no")
		}
		again := make(chan os.Signal, 1)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			b.keeper.loop(ctx, again)
		}()
		send := func(configs map[config.Path]client.Config) {
			select {
			case b.source.changes <- snapshot{configs: configs}:
			case <-time.After(time.Hour):
				t.Error("nobody takes the state")
			}
			synctest.Wait()
		}
		expect := func(want []time.Duration, told []string) {
			t.Helper()
			if diff := cmp.Diff(want, at); diff != "" {
				t.Errorf("attempts (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(told, b.source.told); diff != "" {
				t.Errorf("reports (-want +got):\n%s", diff)
			}
			at, b.source.told, begun = nil, nil, time.Now()
		}
		pass := func(d time.Duration) {
			<-time.After(d)
			synctest.Wait()
		}

		send(serve(t, "a/b/c/one", "1"))
		pass(1500 * time.Millisecond)
		expect([]time.Duration{0, time.Second}, nil)
		send(serve(t, "a/b/c/one@2", "2")) // counts from the beginning
		pass(time.Hour)
		expect([]time.Duration{0, time.Second, 3 * time.Second, 6 * time.Second, 9 * time.Second}, []string{"one@2 refused: check: no"})
		again <- os.Interrupt
		pass(1500 * time.Millisecond)
		expect([]time.Duration{0, time.Second}, nil)
		stop()
		<-ended
	})
}

func TestLoopEndsWithItsSource(t *testing.T) {
	b := newBench(t, oneFile)
	close(b.source.changes)
	b.keeper.loop(t.Context(), nil)
	if err := b.keeper.failures(); err == nil || !strings.Contains(err.Error(), "waiting: nothing was tried") {
		t.Errorf("want that nothing was tried, got %v", err)
	}
}
