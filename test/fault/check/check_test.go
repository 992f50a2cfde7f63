package check

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/test/fault/history"
)

// verdict is a hand-made history and what a check must find in it.
type verdict struct {
	name string
	edit func(*story)
	want string // part of a problem; "" for none
}

// judge tells the same good story in every case, changed as the case says.
func judge(t *testing.T, check func(*story) []string, cases []verdict) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := tell()
			if c.edit != nil {
				c.edit(s)
			}
			got := check(s)
			switch {
			case c.want == "" && len(got) > 0:
				t.Errorf("want nothing wrong, got:\n%s", strings.Join(got, "\n"))
			case c.want != "" && !strings.Contains(strings.Join(got, "\n"), c.want):
				t.Errorf("want %q, got:\n%s", c.want, strings.Join(got, "\n"))
			}
		})
	}
}

// story is a history of two configs, a and b: a is published at revision 10, both
// at 20 as one change set, a is rolled back at 30. At 40, b is published without
// an answer.
type story struct {
	ops     []history.Op
	watches []history.Watch
	past    history.Past
}

var a, b = config.Path{Tenant: "t", App: "a", Env: "e", Name: "a"}, config.Path{Tenant: "t", App: "a", Env: "e", Name: "b"}

func token(position int64) config.Token {
	return config.Token(strconv.FormatInt(position, 36) + ".cluster")
}

// at is a version of a config whose content is text.
func at(p config.Path, version int64, text string) history.Item {
	return history.Item{Path: p, Version: version, Digest: history.Digest([]byte(text))}
}

// write is a call that ended at a revision, in the order of its comments.
func write(kind history.Kind, comment string, call, ret int, revision int64, items ...history.Item) history.Op {
	return history.Op{
		Client: "writer", Node: "n1", Kind: kind, Call: ms(call), Return: ms(ret), Items: items, Comment: comment,
		Outcome: history.OK, ChangeSet: "set-" + comment, Revision: token(revision),
	}
}

func read(kind history.Kind, node string, call, ret int, revision int64, items ...history.Item) history.Op {
	return history.Op{
		Client: "reader", Node: node, Kind: kind, Call: ms(call), Return: ms(ret), Items: items,
		Outcome: history.OK, Revision: token(revision),
	}
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func version(n int64) *int64 { return &n }

func event(node string, at int, revision int64, changes ...history.Item) history.Seen {
	return history.Seen{Node: node, At: ms(at), Revision: token(revision), Changes: changes}
}

func tell() *story {
	s := &story{ops: []history.Op{
		write(history.Publish, "one", 0, 10, 10, at(a, 1, "A1")),
		write(history.Publish, "two", 12, 20, 20, at(a, 2, "A2"), at(b, 1, "B1")),
		write(history.Rollback, "three", 22, 30, 30, at(a, 3, "A1")),
		{Client: "writer", Node: "n1", Kind: history.Publish, Call: ms(32), Return: ms(40), Comment: "four",
			Items: []history.Item{{Path: b, Digest: history.Digest([]byte("B2"))}}, Outcome: history.Unknown, Err: "cut off"},
		{Client: "writer", Node: "n1", Kind: history.Publish, Call: ms(42), Return: ms(50), Comment: "five",
			Items: []history.Item{{Path: a, Expected: version(2)}}, Outcome: history.Refused, Conflict: true, Current: 3, Err: "conflict"},
		read(history.ReadStrong, "n2", 11, 12, 10, at(a, 1, "A1")),
		read(history.ReadStrong, "n2", 33, 60, 40, at(b, 2, "B2")),
		read(history.Read, "n2", 34, 35, 20, at(a, 2, "A2")),
		read(history.Snapshot, "n3", 34, 35, 20, at(a, 2, "A2"), at(b, 1, "B1")),
		read(history.Read, "n2", 61, 62, 45, at(a, 3, "A1")),
	}}
	after := read(history.ReadAfter, "n3", 36, 37, 30, at(a, 3, "A1"))
	after.Items[0].AtLeast = 3
	s.ops = append(s.ops, after)
	s.past.Releases = map[config.Path][]config.Release{}
	s.past.Served = map[config.Path]history.Item{a: at(a, 3, "A1"), b: at(b, 2, "B2")}
	for i, comment := range []string{"one", "two", "three", "four"} {
		items := [][]history.Item{{at(a, 1, "A1")}, {at(a, 2, "A2"), at(b, 1, "B1")}, {at(a, 3, "A1")}, {at(b, 2, "B2")}}[i]
		s.release(comment, int64(10*(i+1)), items...)
	}
	first, resumed := event("n1", 15, 10, at(a, 1, "A1")), event("n2", 36, 30, at(a, 3, "A1"))
	first.First, first.Reset, first.Current = true, true, true
	resumed.First, resumed.Resumed = true, token(20)
	late := event("n3", 45, 40, at(a, 3, "A1"), at(b, 2, "B2"))
	late.First, late.Reset, late.Current = true, true, true
	s.watches = []history.Watch{
		{Name: "steady", Seen: []history.Seen{first, event("n1", 25, 20, at(a, 2, "A2"), at(b, 1, "B1")), resumed, event("n2", 46, 40, at(b, 2, "B2"))}},
		{Name: "late", Seen: []history.Seen{late}},
	}
	return s
}

// release puts a change set into the past.
func (s *story) release(comment string, revision int64, items ...history.Item) {
	set := config.ChangeSet{ID: "set-" + comment, Comment: comment, Revision: token(revision)}
	for _, item := range items {
		set.Items = append(set.Items, config.ChangeItem{Path: item.Path, Version: item.Version, Digest: item.Digest})
		s.past.Releases[item.Path] = append(s.past.Releases[item.Path], config.Release{
			Path: item.Path, Version: item.Version, Digest: item.Digest, Comment: comment, ChangeSet: set.ID,
		})
	}
	s.past.Sets = append(s.past.Sets, set)
	s.past.Audit = append(s.past.Audit, client.AuditRecord{ID: set.ID, Outcome: "done", Comment: comment, Items: set.Items})
}

func TestLinear(t *testing.T) {
	judge(t, func(s *story) []string { return Linear(s.ops, s.past, nil) }, []verdict{
		{name: "a good history"},
		{"an outcome that the past does not tell of", func(s *story) { s.past.Releases = nil }, ""},
		{"a write that never happened", func(s *story) {
			s.past.Releases[b] = s.past.Releases[b][:1]
			s.ops[6] = read(history.ReadStrong, "n2", 33, 60, 40, at(b, 1, "B1"))
		}, ""},
		{"a write that happened late", func(s *story) {
			s.ops[6] = read(history.ReadStrong, "n2", 70, 80, 40, at(b, 1, "B1"))
		}, ""},
		{"a condition that held", func(s *story) { s.ops[1].Items[0].Expected = version(1) }, ""},
		{"a strong read that is old", func(s *story) {
			s.ops[5] = read(history.ReadStrong, "n2", 35, 36, 20, at(a, 2, "A2"))
		}, "strong read of reader at n2"},
		{"a strong read of what was taken back", func(s *story) {
			s.past.Releases = nil
			s.ops = append(s.ops, read(history.ReadStrong, "n2", 70, 80, 40, at(b, 1, "B1")))
		}, "t/a/e/b: no order"},
		{"two writes of one version", func(s *story) {
			s.ops = append(s.ops, write(history.Publish, "six", 24, 29, 29, at(a, 3, "A6")))
		}, "t/a/e/a: no order"},
		{"a version that was left out", func(s *story) { s.ops[2].Items[0].Version = 4 }, "t/a/e/a: no order"},
		{"other content than was written", func(s *story) { s.ops[6].Items[0].Digest = "other" }, "t/a/e/b: no order"},
		{"a condition that did not hold", func(s *story) { s.ops[2].Items[0].Expected = version(1) }, "expects version 1"},
		{"a strong read that finds nothing", func(s *story) {
			s.ops = append(s.ops, read(history.ReadStrong, "n2", 70, 80, 0, history.Item{Path: a}))
		}, "t/a/e/a: no order"},
		{"a strong read before there was anything", func(s *story) {
			s.ops = append(s.ops, read(history.ReadStrong, "n2", 0, 5, 0, history.Item{Path: a}))
		}, ""},
		{"a conflict that was none", func(s *story) { s.ops[4].Items[0].Expected = version(3) }, "found version 3"},
		{"a conflict seen in an old state", func(s *story) { s.ops[4].Current = 1 }, "found version 1"},
		{"a write that was over before it began", func(s *story) {
			s.ops[2].Call, s.ops[2].Return = ms(1), ms(2)
		}, "t/a/e/a: no order"},
	})
	t.Run("from a state", func(t *testing.T) {
		ops := []history.Op{write(history.Publish, "one", 0, 10, 10, at(a, 6, "A6"))}
		if got := Linear(ops, history.Past{}, map[config.Path]history.Item{a: at(a, 5, "A5")}); len(got) > 0 {
			t.Errorf("want nothing wrong, got %s", got)
		}
		if got := Linear(ops, history.Past{}, nil); len(got) != 1 {
			t.Errorf("want one problem, got %s", got)
		}
	})
}

// Many writes without an answer must not make the search endless: the past says
// which of them happened.
func TestLinearWithManyUnknownWrites(t *testing.T) {
	s := &story{past: history.Past{Releases: map[config.Path][]config.Release{}}}
	next := int64(1)
	for i := range 400 {
		o := write(history.Publish, fmt.Sprint(i), i, i+1, 0, at(a, 0, fmt.Sprint(i)))
		o.Outcome = history.Unknown
		s.ops = append(s.ops, o)
		if i%3 == 0 {
			s.release(o.Comment, int64(i), at(a, next, fmt.Sprint(i)))
			next++
		}
	}
	s.ops = append(s.ops, read(history.ReadStrong, "n1", 500, 501, 500, at(a, next-1, "399")))
	if got := Linear(s.ops, s.past, nil); len(got) > 0 {
		t.Errorf("want nothing wrong, got %s", got)
	}
	s.ops = append(s.ops, read(history.ReadStrong, "n1", 510, 511, 500, at(a, next-2, "396")))
	if got := Linear(s.ops, s.past, nil); len(got) != 1 {
		t.Errorf("want one problem, got %s", got)
	}
}

func TestLost(t *testing.T) {
	judge(t, func(s *story) []string { return Lost(s.ops, s.past) }, []verdict{
		{name: "a good history"},
		{"an outcome unknown, and not done", func(s *story) { s.past.Releases[b] = s.past.Releases[b][:1] }, ""},
		{"an acknowledged write is gone", func(s *story) { s.past.Releases[a] = s.past.Releases[a][:2] }, "three was acknowledged by n1"},
		{"one of a change set is gone", func(s *story) { s.past.Releases[b] = nil }, "two was acknowledged by n1"},
		{"it has another content", func(s *story) { s.past.Releases[a][0].Digest = "other" }, "one was acknowledged as version 1"},
		{"it has another version", func(s *story) { s.ops[0].Items[0].Version = 2 }, "one was acknowledged as version 2"},
		{"it is of another change set", func(s *story) { s.past.Releases[a][1].ChangeSet = "other" }, "two was acknowledged as version 2"},
		{"a refused write is there", func(s *story) { s.ops[2].Outcome = history.Refused }, "three was refused"},
		{"half of an unknown one is there", func(s *story) {
			s.ops[1].Outcome = history.Unknown
			s.past.Releases[b] = s.past.Releases[b][1:]
		}, "two, without an answer, is there in part"},
		{"something nobody asked for", func(s *story) { s.ops = s.ops[1:] }, "nobody has asked for version 1"},
		{"a hole in the versions", func(s *story) { s.past.Releases[a][2].Version = 5 }, "want version 3 at its place, found 5"},
	})
}

func TestAudited(t *testing.T) {
	judge(t, func(s *story) []string { return Audited(s.ops, s.past) }, []verdict{
		{name: "a good history"},
		{"a record is missing", func(s *story) { s.past.Audit = s.past.Audit[1:] }, "one was acknowledged as change set set-one and has no audit record"},
		{"a record of an unknown write is missing", func(s *story) { s.past.Audit = s.past.Audit[:3] }, "t/a/e/b: version 2 has no audit record"},
		{"a record is there twice", func(s *story) { s.past.Audit = append(s.past.Audit, s.past.Audit[2]) }, "set-three is there twice"},
		{"an act is there twice", func(s *story) {
			twice := s.past.Audit[2]
			twice.ID, twice.Items = "other", nil
			s.past.Audit = append(s.past.Audit, twice)
		}, "tell of the same act: three"},
		{"a record of nothing", func(s *story) { s.past.Releases[b] = s.past.Releases[b][:1] }, "set-four tells of version 2"},
		{"a record of another act", func(s *story) { s.past.Audit[0].Comment = "other" }, "is of another act"},
		{"a record of a failure", func(s *story) { s.past.Audit[0].Outcome = "failed" }, "is of another act"},
		{"a record in part", func(s *story) { s.past.Audit[1].Items = s.past.Audit[1].Items[:1] }, "is of another act"},
	})
}

func TestRising(t *testing.T) {
	judge(t, func(s *story) []string { return Rising(s.watches) }, []verdict{
		{name: "a good history"},
		{"the same again after a reset", func(s *story) {
			again := event("n3", 60, 45, at(a, 3, "A1"), at(b, 2, "B2"))
			again.Reset = true
			s.watches[0].Seen = append(s.watches[0].Seen, again)
		}, ""},
		{"deleted and back", func(s *story) {
			s.watches[0].Seen = append(s.watches[0].Seen, event("n2", 60, 45, history.Item{Path: a}), event("n2", 60, 46, at(a, 3, "A1")))
		}, ""},
		{"a version falls", func(s *story) {
			s.watches[0].Seen = append(s.watches[0].Seen, event("n3", 60, 50, at(a, 2, "A2")))
		}, "steady: at 60ms n3 brought t/a/e/a from version 3"},
		{"a version falls after a reset", func(s *story) {
			again := event("n3", 60, 50, at(a, 2, "A2"), at(b, 2, "B2"))
			again.Reset = true
			s.watches[0].Seen = append(s.watches[0].Seen, again)
		}, "steady: at 60ms n3 brought t/a/e/a from version 3"},
		{"a version falls after a deletion", func(s *story) {
			s.watches[0].Seen = append(s.watches[0].Seen, event("n2", 60, 45, history.Item{Path: a}), event("n2", 61, 46, at(a, 2, "A2")))
		}, "from version 3"},
		{"a version changes", func(s *story) {
			s.watches[0].Seen = append(s.watches[0].Seen, event("n3", 60, 50, at(a, 3, "other")))
		}, "from version 3"},
		{"a revision falls", func(s *story) {
			s.watches[0].Seen = append(s.watches[0].Seen, event("n3", 60, 35))
		}, "from revision 40"},
		{"a revision that is none", func(s *story) { s.watches[0].Seen[1].Revision = "?" }, `to "?"`},
	})
}

func TestWhole(t *testing.T) {
	judge(t, func(s *story) []string { return Whole(s.ops, s.watches, s.past) }, []verdict{
		{name: "a good history"},
		{"half of it in an event", func(s *story) {
			s.watches[0].Seen[1].Changes = s.watches[0].Seen[1].Changes[:1]
		}, "steady has seen half a change set: t/a/e/a at version 2 and t/a/e/b at 0"},
		{"half of it, and past it", func(s *story) {
			s.watches[0].Seen = s.watches[0].Seen[:1]
			s.watches[0].Seen = append(s.watches[0].Seen, event("n2", 36, 30, at(a, 3, "A1")))
		}, "steady has seen half a change set: t/a/e/a at version 2 and t/a/e/b at 0"},
		{"half of it in a reset", func(s *story) {
			s.watches[1].Seen[0].Changes = s.watches[1].Seen[0].Changes[:1]
		}, "late has seen half"},
		{"half of it in a snapshot", func(s *story) { s.ops[8].Items = s.ops[8].Items[:1] }, "a snapshot of reader at n3 has seen half"},
		{"the other half in a snapshot", func(s *story) { s.ops[8].Items[0] = at(a, 1, "A1") }, "a snapshot of reader at n3 has seen half"},
	})
}

func TestConverged(t *testing.T) {
	judge(t, func(s *story) []string { return Converged(s.watches, s.past) }, []verdict{
		{name: "a good history"},
		{"the last event is missing", func(s *story) { s.watches[0].Seen = s.watches[0].Seen[:3] }, "steady: knows version 1"},
		{"it has other content", func(s *story) { s.watches[1].Seen[0].Changes[0].Digest = "other" }, "late: knows version 3 (other)"},
		{"it knows nothing", func(s *story) { s.watches[1].Seen = nil }, "late: knows version 0"},
		{"it knows what is not served", func(s *story) { delete(s.past.Served, b) }, "t/a/e/b, which is not served"},
		{"it was reset", func(s *story) {
			again := event("n3", 60, 45, at(a, 3, "A1"))
			again.Reset = true
			s.watches[0].Seen = append(s.watches[0].Seen, again)
		}, "steady: knows version 0"},
	})
}

func TestGapless(t *testing.T) {
	judge(t, func(s *story) []string { return Gapless(s.watches, s.past) }, []verdict{
		{name: "a good history"},
		{"states that were passed over", func(s *story) { s.watches[0].Seen = s.watches[0].Seen[:0] }, ""},
		{"a state between changes", func(s *story) { s.watches[0].Seen[1].Revision = token(25) }, ""},
		{"a change was skipped", func(s *story) {
			s.watches[0].Seen[1].Changes = s.watches[0].Seen[1].Changes[:1]
		}, "steady: at revision 20, by n1 at 25ms"},
		{"a change was skipped and made good", func(s *story) {
			s.watches[0].Seen[2].Changes = nil
			s.watches[0].Seen = append(s.watches[0].Seen, event("n2", 60, 45, at(a, 3, "A1")))
		}, `steady: at revision 30, by n2 at 36ms (resumed from "k.cluster")`},
		{"a change came too early", func(s *story) { s.watches[0].Seen[1].Revision = token(15) }, "steady: at revision 15"},
		{"a snapshot was not whole", func(s *story) {
			s.watches[1].Seen[0].Changes = s.watches[1].Seen[0].Changes[:1]
		}, "late: at revision 40"},
		{"a revision that is none", func(s *story) { s.watches[0].Seen[1].Revision = "?" }, "is no token"},
		{"a past in another order", func(s *story) { s.past.Sets[0].Revision = token(22) }, "version 2 at 20 comes after version 1 at 22"},
		{"a past with a hole", func(s *story) { s.past.Sets = append(s.past.Sets[:1], s.past.Sets[2:]...) }, "version 3 at 30 comes after version 1"},
	})
}

func TestReads(t *testing.T) {
	judge(t, func(s *story) []string { return Reads(s.ops, s.past) }, []verdict{
		{name: "a good history"},
		{"nothing yet", func(s *story) {
			s.ops = append(s.ops, read(history.Read, "n4", 1, 2, 5, history.Item{Path: a}))
		}, ""},
		{"side by side, in any order", func(s *story) {
			s.ops = append(s.ops, read(history.Read, "n4", 61, 65, 30, at(a, 3, "A1")), read(history.Read, "n4", 63, 64, 40, at(a, 3, "A1")))
		}, ""},
		{"another state than the revision's", func(s *story) { s.ops[7].Revision = token(30) }, "returned version 2"},
		{"other content", func(s *story) { s.ops[7].Items[0].Digest = "other" }, "(other) of t/a/e/a as of revision 20"},
		{"less than the token stands for", func(s *story) {
			s.ops[len(s.ops)-1].Revision, s.ops[len(s.ops)-1].Items[0].Version = token(20), 2
		}, "for a token that stands for 3"},
		{"a snapshot without a config", func(s *story) { s.ops[8].Items = s.ops[8].Items[1:] }, "snapshot of reader at n3 returned version 0"},
		{"a snapshot with a config that is none", func(s *story) {
			s.ops[8].Items = append(s.ops[8].Items, at(config.Path{Name: "c"}, 1, "C1"))
		}, "snapshot of reader at n3 returned version 1"},
		{"a node goes back", func(s *story) {
			s.ops = append(s.ops, read(history.Read, "n2", 63, 64, 40, at(a, 3, "A1")))
		}, "n2 went back: it had answered as of revision 45"},
		{"not there yet", func(s *story) {
			s.ops = append(s.ops, history.Op{Node: "n4", Kind: history.Read, Outcome: history.OK, Items: []history.Item{{Path: a}}})
		}, ""},
		{"not there any more", func(s *story) {
			s.ops = append(s.ops, history.Op{Node: "n2", Kind: history.Read, Call: ms(70), Return: ms(71), Outcome: history.OK, Items: []history.Item{{Path: a}}})
		}, "n2 went back: it had found t/a/e/a"},
		{"not there, in spite of a token", func(s *story) {
			s.ops = append(s.ops, history.Op{Node: "n4", Kind: history.ReadAfter, Outcome: history.OK, Items: []history.Item{{Path: a, AtLeast: 1}}})
		}, "returned version 0 of t/a/e/a for a token"},
		{"a revision that is none", func(s *story) { s.ops[7].Revision = "" }, "is no token"},
	})
}

func TestRevoked(t *testing.T) {
	good := Revocation{Node: "n1", Took: 20 * time.Millisecond, Refused: true}
	cases := []struct {
		name string
		edit func(*Revocation)
		want string
	}{
		{"in time", func(*Revocation) {}, ""},
		{"too late", func(r *Revocation) { r.Took = RevocationBound + 1 }, "promised is 1s"},
		{"never", func(r *Revocation) { r.Refused = false }, "still lets the token in"},
		{"in again", func(r *Revocation) { r.Relapsed = true }, "let the token in again"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := good
			c.edit(&r)
			got := strings.Join(Revoked([]Revocation{good, r}), "\n")
			if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
				t.Errorf("want %q, got %q", c.want, got)
			}
		})
	}
}

func TestProblemsAreBounded(t *testing.T) {
	var p problems
	for i := range mostProblems + 5 {
		p.add("%d", i)
	}
	if got := p.list(); len(got) != mostProblems+1 || got[mostProblems] != "and 5 more of the kind" {
		t.Errorf("want %d problems and the number of the others, got %s", mostProblems, got)
	}
}
