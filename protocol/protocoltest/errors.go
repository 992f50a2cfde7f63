package protocoltest

import (
	"context"
	"strings"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

func errorScenarios() []scenario {
	return []scenario{
		{"every kind of a read", []Part{PartReads, PartFreshness}, errorsOfReads},
		{"every kind of a publish", []Part{PartReleases}, errorsOfPublishes},
		{"the cause of a defect stays inside", []Part{PartReads, PartFreshness}, errorsInside},
		{"canceled by the client", []Part{PartReads, PartFreshness}, errorsCanceled},
	}
}

// failures are errors of every kind, as the engine could return them.
func failures(path config.Path) []*config.Error {
	var all []*config.Error
	for _, kind := range config.ErrorKinds() {
		e := config.Errorf(kind, "store.range", path.String(), "an error of the kind %s, größe <&> \"x\"", kind)
		switch kind {
		case config.Conflict:
			e.Current = 1<<53 + 1 // which a floating point number does not hold
		case config.Invalid:
			e.Problems = []config.Problem{
				{Path: path.String(), Line: 3, Column: 14, Severity: config.SeverityError, Message: "ein Größenfehler", Excerpt: "3 | größe\n  |      ^", Hint: "use <ß>"},
				{Severity: config.SeverityWarning, Message: "nowhere"},
			}
		}
		all = append(all, e)
	}
	return all
}

// errorsOfReads has the engine fail in every way under a read that asks it.
func errorsOfReads(s *stage) {
	app, _ := s.application(config.Client{})
	s.publish("a.json", "1")
	path := s.prod.Join("a.json")
	for _, failure := range failures(path) {
		mend := s.node.store.breakDown(failure)
		_, err := app.Get(s.ctx, Read{Path: path, Freshness: center.Freshness{Strong: true}})
		_, envErr := app.Snapshot(s.ctx, Read{Path: s.prod, Freshness: center.Freshness{Strong: true}})
		mend()
		s.refused("a read", failure.Kind, err)
		s.sameError("a read", failure, err)
		s.sameError("a read of an env", failure, envErr)
	}
	_, err := app.Get(s.ctx, Read{Path: path, Freshness: center.Freshness{Strong: true}})
	s.ok(err)
}

// errorsOfPublishes has the engine fail in every way under a change.
func errorsOfPublishes(s *stage) {
	a := s.admin()
	path := s.prod.Join("a.json")
	for _, failure := range failures(path) {
		mend := s.node.store.breakDown(failure)
		_, err := a.Publish(s.ctx, s.items("a.json", "1"))
		mend()
		s.refused("a publish", failure.Kind, err)
		s.sameError("a publish", failure, err)
	}
	_, err := a.Publish(s.ctx, s.items("a.json", "1"))
	s.ok(err)
}

func errorsInside(s *stage) {
	app, _ := s.application(config.Client{})
	s.publish("a.json", "1")
	defer s.node.store.breakDown(config.Errorf(config.Internal, "store.range", "", "the password of the engine is xyzzy"))()
	_, err := app.Get(s.ctx, Read{Path: s.prod.Join("a.json"), Freshness: center.Freshness{Strong: true}})
	if e := s.refused("a defect", config.Internal, err); strings.Contains(e.Error(), "xyzzy") {
		s.Errorf("the client is told the cause: %v", e)
	}
}

// errorsCanceled leaves while the node waits to catch up.
func errorsCanceled(s *stage) {
	app, _ := s.application(config.Client{})
	s.publish("a.json", "1")
	defer s.node.store.hold()()
	ctx, cancel := context.WithTimeout(s.ctx, limitWait/5)
	defer cancel()
	set := s.publish("a.json", "2")
	_, err := app.Get(ctx, Read{Path: s.prod.Join("a.json"), Freshness: center.Freshness{MinRevision: set.Revision}})
	if kind := config.KindOf(err); kind != config.Timeout && kind != config.Canceled {
		s.Errorf("want the read to end as its caller does, got %v", err)
	}
}
