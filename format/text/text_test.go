package text_test

import (
	"testing"

	"github.com/setpointhq/setpoint/format"
	"github.com/setpointhq/setpoint/format/formattest"
	"github.com/setpointhq/setpoint/format/text"
)

func TestText(t *testing.T) {
	formattest.Run(t, text.New(), []formattest.Case{
		{Name: "anything", Content: "worker_processes auto;\r\n# 中文\n{{ [ \x00"},
		{Name: "latin-1", Content: "ok\ncaf\xe9", Problems: []string{"error 2:4: byte 0xe9 is not valid UTF-8"}},
		{Name: "utf-16", Content: "\xff\xfea\x00", Problems: []string{"error 1:1: the content is UTF-16, not UTF-8"}},
	})
}

func TestTakesWhatNobodyClaims(t *testing.T) {
	set := format.NewSet(text.New())
	for _, name := range []string{"nginx.conf", "Makefile", "a.b.c", ".env", "x.txt"} {
		if f, ok := set.ForFile(name); !ok || f.Name() != "text" {
			t.Errorf("%s: want the format text, got %v", name, f)
		}
	}
}

func FuzzCheck(f *testing.F) {
	for _, seed := range []string{"", "a", "\xff", "\xff\xfe", "a\r\nb\rc\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) { formattest.Contract(t, text.New(), content) })
}
