package protocoltest

import (
	"fmt"
	"strings"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

func limitScenarios() []scenario {
	return []scenario{
		{"too many items, too large, too long", []Part{PartReleases}, limitsOfPublishes},
		{"more than any request may hold", []Part{PartReleases}, limitOfRequests},
		{"more configs than an env may have", []Part{PartConfigs}, limitOfConfigs},
		{"drafts too large", []Part{PartDrafts}, limitOfDrafts},
		{"a client that says too much of itself", []Part{PartReads, PartClaims}, limitOfClients},
	}
}

func limitsOfPublishes(s *stage) {
	a := s.admin()
	var many []string
	for i := range limitChangeSet + 1 {
		many = append(many, fmt.Sprintf("c-%d.json", i), "1")
	}
	large := strings.Repeat("x", LimitConfigSize)
	for what, p := range map[string]center.Publish{
		"too many configs":  s.items(many...),
		"too much together": s.items("a.txt", large, "b.txt", large, "c.txt", large, "d.txt", large, "e.txt", "x"),
		"too large a file":  s.items("a.txt", large+"x"),
		"too long a comment": func() center.Publish {
			p := s.items("a.txt", "x")
			p.Comment = strings.Repeat("é", limitComment/2) + "x"
			return p
		}(),
	} {
		_, want := s.arrange.Publish(s.ctx, p)
		_, err := a.Publish(s.ctx, p)
		if want == nil {
			s.Fatalf("%s: the center does not refuse it", what)
		}
		s.sameError(what, want, err)
	}
	fits := s.items(many[2:]...)
	fits.Comment = strings.Repeat("é", limitComment/2)
	_, err := a.Publish(s.ctx, fits)
	s.ok(err)
}

// limitOfRequests sends more than a protocol reads before it asks the center.
func limitOfRequests(s *stage) {
	a := s.admin()
	_, err := a.Publish(s.ctx, s.items("a.txt", strings.Repeat("x", 12<<20)))
	s.refused("a request of 12 MiB", config.TooLarge, err)
	_, err = a.Publish(s.ctx, s.items("a.txt", "x"))
	s.ok(err)
}

func limitOfConfigs(s *stage) {
	a := s.admin()
	for i := range limitConfigs {
		_, err := a.CreateConfig(s.ctx, config.Config{Path: s.prod.Join(fmt.Sprintf("c-%d.json", i))})
		s.ok(err)
	}
	more := config.Config{Path: s.prod.Join("more.json")}
	_, want := s.arrange.CreateConfig(s.ctx, more)
	_, err := a.CreateConfig(s.ctx, more)
	s.refused("one config more", config.Exhausted, err)
	s.sameError("one config more", want, err)
	long := config.Config{Path: s.dev.Join("a.json"), Description: strings.Repeat("x", limitComment+1)}
	_, want = s.arrange.CreateConfig(s.ctx, long)
	_, err = a.CreateConfig(s.ctx, long)
	s.sameError("a long description", want, err)
}

func limitOfDrafts(s *stage) {
	a := s.admin()
	s.publish("a.txt", "x")
	save := center.SaveDraft{Path: s.prod.Join("a.txt"), Content: []byte(strings.Repeat("x", LimitConfigSize+1))}
	_, _, want := s.arrange.SaveDraft(s.ctx, save)
	_, _, err := a.SaveDraft(s.ctx, save)
	s.refused("a large draft", config.TooLarge, err)
	s.sameError("a large draft", want, err)
}

func limitOfClients(s *stage) {
	s.publish("a.json", "1")
	labels := map[string]string{}
	for i := range 65 {
		labels[fmt.Sprintf("l%d", i)] = "x"
	}
	for what, client := range map[string]config.Client{
		"a long name":     {ID: strings.Repeat("x", 257)},
		"too many labels": {ID: "a", Labels: labels},
		"a long label":    {ID: "a", Labels: map[string]string{"l": strings.Repeat("x", 257)}},
		"a long slot":     {ID: "a", Slot: strings.Repeat("x", 257)},
	} {
		app, _ := s.application(client)
		_, err := app.Get(s.ctx, Read{Path: s.prod.Join("a.json")})
		s.refused(what, config.Invalid, err)
	}
}
