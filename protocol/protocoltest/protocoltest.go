// Package protocoltest is the conformance suite of what Setpoint does over a
// protocol: one set of scenarios, told in the domain's words, that every
// protocol passes. It knows none of them.
//
// A protocol takes part by an adapter in its own tests: a Client that turns
// calls into its wire and back, and a Protocol that says how to open the driver
// and how to connect. Then the whole test is
//
//	func TestScenarios(t *testing.T) { protocoltest.Run(t, adapter()) }
//
// A Client implements an interface for each Part of the work that its protocol
// offers (Scopes, Releases, Reads, Watches …). What it does not offer, the
// Protocol declares in Lacks with the reason; the scenarios that need it are then
// skipped by that reason. A part that is neither implemented nor declared fails
// the suite, and so does a declaration that is no longer true. What a scenario
// needs and is not about (a config to be read over a protocol that cannot
// publish) it arranges in process, so that a protocol of a few parts runs all
// scenarios about those.
//
// Each group of scenarios has a fresh Node: the real center and view on the
// memory store, real API tokens, real TLS. Each scenario has a tenant of its own.
// Reference is an adapter too, to the center itself: what it answers is what a
// protocol must answer.
//
// The settings that a Protocol gives its driver should make the suite quick: a
// heartbeat, by which revoked tokens are found, of a fraction of a second, and
// as many patterns in a watch as center.MaxPatterns.
package protocoltest

import (
	"cmp"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol"
)

// Protocol is what an adapter tells of its protocol.
type Protocol struct {
	// Name is what listings of instances call the protocol.
	Name string
	// Driver returns the settings to open, with defaults filled. The node closes
	// what they open.
	Driver func() protocol.Driver
	// Connect returns a client of the node, which the suite closes. It need not
	// have spoken to the node yet.
	Connect func(tb testing.TB, n *Node, as Caller) Client
	// Native renders an error as it is on the wire, with all that tells its kind
	// there, and returns what a client makes of it.
	Native func(err *config.Error) (wire string, back error)
	// Lacks are the parts that the protocol does not offer, and why not.
	Lacks map[Part]string

	// patience is how long a scenario may take; 0 is long enough for any protocol.
	patience time.Duration
}

// lacks says why a part is not there: it is lacking itself, or what it is in.
func (p *Protocol) lacks(part Part) (string, bool) {
	if why, ok := p.Lacks[part]; ok {
		return why, true
	}
	if outer, ok := abilityKinds[part]; ok {
		return p.lacks(outer)
	}
	return "", false
}

// scenario is one story. It fails the test if the protocol tells another.
type scenario struct {
	name  string
	needs []Part
	run   func(*stage)
}

// group is scenarios that share a node.
type group struct {
	name      string
	scenarios []scenario
}

func groups() []group {
	return []group{
		{"scopes", scopeScenarios()},
		{"configs", configScenarios()},
		{"drafts", draftScenarios()},
		{"releases", releaseScenarios()},
		{"content", contentScenarios()},
		{"reads", readScenarios()},
		{"rollouts", rolloutScenarios()},
		{"launches", launchScenarios()},
		{"watches", watchScenarios()},
		{"resuming", resumeScenarios()},
		{"instances", instanceScenarios()},
		{"errors", errorScenarios()},
		{"authorization", authorizationScenarios()},
		{"guessing", guessScenarios()},
		{"limits", limitScenarios()},
		{"shutdown", shutdownScenarios()},
	}
}

// Run runs the suite.
func Run(t *testing.T, p Protocol) {
	t.Run("declaration", func(t *testing.T) { declaration(t, p) })
	t.Run("every kind of error has a native form", func(t *testing.T) { nativeForms(t, p) })
	for _, g := range groups() {
		t.Run(g.name, func(t *testing.T) { g.play(t, p) })
	}
}

func (g *group) play(t *testing.T, p Protocol) {
	var node *Node
	for _, s := range g.scenarios {
		if part, why := s.lacking(&p); part != "" {
			t.Run(s.name, func(t *testing.T) { t.Skipf("%s does not offer %s: %s", p.Name, part, why) })
			continue
		}
		if node == nil {
			node = Start(t, p.Driver)
		}
		t.Run(s.name, func(t *testing.T) { s.run(newStage(t, p, node)) })
	}
}

// lacking returns the first part that the scenario needs and the protocol lacks.
func (s *scenario) lacking(p *Protocol) (Part, string) {
	for _, part := range s.needs {
		if why, lacks := p.lacks(part); lacks {
			return part, why
		}
	}
	return "", ""
}

// declaration holds what the protocol says that it lacks against what its client
// can do.
func declaration(tb testing.TB, p Protocol) {
	if p.Name == "" || p.Connect == nil || p.Native == nil {
		tb.Fatal("a protocol has a name, connects, and renders errors")
	}
	client := p.Connect(tb, Start(tb, p.Driver), Caller{})
	defer client.Close()
	offers := 0
	for _, part := range slices.Sorted(maps.Keys(interfaceKinds)) {
		why, declared := p.Lacks[part]
		switch offered := interfaceKinds[part](client); {
		case offered && declared:
			tb.Errorf("%s offers %s, which is declared to be lacking (%s)", p.Name, part, why)
		case !offered && !declared:
			tb.Errorf("%s does not offer %s; implement it, or declare in Lacks why it is not there", p.Name, part)
		case offered:
			offers++
		}
	}
	for part, why := range p.Lacks {
		_, isInterface := interfaceKinds[part]
		outer, isAbility := abilityKinds[part]
		switch {
		case !isInterface && !isAbility:
			tb.Errorf("there is no part %q that could be lacking", part)
		case why == "":
			tb.Errorf("%s is declared to be lacking; say why", part)
		case isAbility && p.Lacks[outer] != "":
			tb.Errorf("%s is declared to be lacking, and so is %s, which it is within; leave it out", part, outer)
		}
	}
	if offers == 0 {
		tb.Error("the client offers nothing")
	}
}

// nativeForms proves that each kind of error has a form on the wire that no
// other has, and becomes the same kind again.
func nativeForms(tb testing.TB, p Protocol) {
	seen := map[string]config.ErrorKind{}
	for _, kind := range config.ErrorKinds() {
		wire, back := p.Native(config.Errorf(kind, "config.get", "acme/shop/prod/app.yaml", "a reason"))
		if wire == "" {
			tb.Errorf("%s has no native form", kind)
			continue
		}
		if other, taken := seen[wire]; taken {
			tb.Errorf("%s and %s have one native form, %q", cmp.Or(other.String(), "?"), kind, wire)
		}
		seen[wire] = kind
		if got := config.KindOf(back); back == nil || got != kind {
			tb.Errorf("want %s to come back as itself from %q, got %v", kind, wire, back)
		}
	}
}
