package protocoltest

import (
	"bytes"
	"strings"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

func contentScenarios() []scenario {
	return []scenario{
		{"read byte for byte", []Part{PartReads}, contentRead},
		{"published byte for byte", []Part{PartReleases}, contentPublished},
		{"saved as a draft byte for byte", []Part{PartDrafts}, contentDrafted},
		{"watched byte for byte", []Part{PartWatches, PartWatchContent}, contentWatched},
		{"bytes that are no text", []Part{PartReleases}, contentBinary},
		{"as large as may be, and larger", []Part{PartReleases}, contentLarge},
	}
}

// contents are texts that a careless hand would change on the way.
func contents() map[string]string {
	return map[string]string{
		"empty.txt":    "",
		"crlf.txt":     "a\r\nb\rc\n\r",
		"bom.txt":      "\ufeffa\n",
		"trailing.txt": "a\n\n\n \t\n",
		"leading.txt":  "\n\n  a",
		"open.txt":     "no line break at the end",
		"unicode.txt":  "数据 größe \U0001f600 e\u0301 é \u2028\u2029\u200b\u202e\U0010ffff\ufffd",
		"controls.txt": "\x00\x01\x1b[31m\x7f\u0085",
		"escapes.txt":  `\u0041 \\n "quoted" 'single' <a href="&amp;"> %41 ${HOME} {{.}}`,
		"events.txt":   "data: x\n\nevent: changes\nid: 1\n\n: comment\nretry: 1\n",
		"large.txt":    strings.Repeat("0123456789abcde\n", LimitConfigSize/16),
	}
}

func (s *stage) publishContents() map[string]string {
	all := contents()
	for name, content := range all {
		s.publish(name, content)
	}
	return all
}

// same fails unless bytes arrived as they were sent.
func (s *stage) same(what, want string, got []byte) {
	s.Helper()
	if want == string(got) {
		return
	}
	at := 0
	for at < min(len(want), len(got)) && want[at] == got[at] {
		at++
	}
	part := func(b string) string { return b[max(0, min(at-10, len(b))):min(at+30, len(b))] }
	s.Errorf("%s: want %d bytes, got %d, different from %d on: want …%q…, got …%q…", what, len(want), len(got), at, part(want), part(string(got)))
}

func contentRead(s *stage) {
	app, _ := s.application(config.Client{})
	all := s.publishContents()
	for name, want := range all {
		got, err := app.Get(s.ctx, Read{Path: s.prod.Join(name)})
		s.ok(err)
		s.same(name, want, got.Content)
	}
	snapshot, err := app.Snapshot(s.ctx, Read{Path: s.prod})
	s.ok(err)
	s.want("how many configs there are", len(all), len(snapshot.Configs))
	for _, c := range snapshot.Configs {
		s.same("in the snapshot, "+c.Path.Name, all[c.Path.Name], c.Content)
	}
}

func contentPublished(s *stage) {
	a := s.admin()
	for name, want := range contents() {
		set, err := a.Publish(s.ctx, s.items(name, want))
		s.ok(err)
		s.same(name, want, []byte(s.released(name)))
		s.want(name+": the size", int64(len(want)), set.Items[0].Size)
		_, got, err := a.Release(s.ctx, s.prod.Join(name), 1)
		s.ok(err)
		s.same("the release of "+name, want, got)
	}
}

func contentDrafted(s *stage) {
	a := s.admin()
	s.publish("app.txt", "begin")
	path := s.prod.Join("app.txt")
	for name, want := range contents() {
		_, _, err := a.SaveDraft(s.ctx, center.SaveDraft{Path: path, Content: []byte(want)})
		s.ok(err)
		kept, err := s.arrange.Draft(s.ctx, path)
		s.ok(err)
		s.same(name+" as it is kept", want, kept.Content)
		got, err := a.Draft(s.ctx, path)
		s.ok(err)
		s.same(name+" as it is read", want, got.Content)
	}
	// A draft may hold what cannot be published.
	binary := "\xff\xfe\x00\x80"
	_, want, err := s.arrange.SaveDraft(s.ctx, center.SaveDraft{Path: path, Content: []byte(binary)})
	s.ok(err)
	_, problems, err := a.SaveDraft(s.ctx, center.SaveDraft{Path: path, Content: []byte(binary)})
	s.ok(err)
	s.want("the problems", want, problems)
	got, err := a.Draft(s.ctx, path)
	s.ok(err)
	s.same("bytes that are no text", binary, got.Content)
}

func contentWatched(s *stage) {
	app, _ := s.application(config.Client{})
	all := s.publishContents()
	w := s.watch(app, WatchRequest{Patterns: []string{s.prod.String()}})
	w.current()
	s.want("how many configs are watched", len(all), len(w.state))
	for name, want := range all {
		s.same(name, want, w.state[s.prod.Join(name)].Content)
	}
	s.publish("crlf.txt", "b\r\n")
	w.until("crlf.txt", 2)
	s.same("the change of crlf.txt", "b\r\n", w.state[s.prod.Join("crlf.txt")].Content)
}

func contentBinary(s *stage) {
	a := s.admin()
	for name, content := range map[string]string{
		"lone.txt":   "caf\xe9",
		"utf16.txt":  "\xff\xfea\x00b\x00",
		"half.txt":   "a\xed\xa0\x80b", // a surrogate
		"long.json":  "\"\xc0\x80\"",   // not the shortest form
		"image.yaml": "\x89PNG\r\n\x1a\n\x00\x00",
	} {
		_, want := s.arrange.Publish(s.ctx, s.items(name, content))
		_, got := a.Publish(s.ctx, s.items(name, content))
		if want != nil {
			s.refused(name, config.Invalid, got)
			s.sameError(name, want, got)
			continue
		}
		s.ok(got)
		s.same(name, content, []byte(s.released(name)))
	}
}

func contentLarge(s *stage) {
	a := s.admin()
	fits := bytes.Repeat([]byte("é"), LimitConfigSize/2)
	_, err := a.Publish(s.ctx, s.items("app.txt", string(fits)))
	s.ok(err)
	s.same("the largest", string(fits), []byte(s.released("app.txt")))
	over := s.items("app.txt", string(fits)+"x")
	_, want := s.arrange.Publish(s.ctx, over)
	_, err = a.Publish(s.ctx, over)
	s.refused("one byte more", config.TooLarge, err)
	s.sameError("one byte more", want, err)
}
