package tour

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// step is one command as a page shows it, with what it shows as its output.
type step struct {
	terminal string // "" for the reader's own, else the one that only does this
	command  string // "" if more output of the terminal's last command is shown
	want     []string
	text     string // all of it, as it stands in the page
}

// page reads a page of the documentation; the name is relative to the root.
func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// fences returns the fenced blocks of a page whose info string begins with the
// language, each with what follows it there.
func fences(text, language string) (blocks, infos []string) {
	fence := regexp.MustCompile("(?ms)^```" + language + `([^\n]*)\n(.*?)^` + "```$")
	for _, m := range fence.FindAllStringSubmatch(text, -1) {
		infos = append(infos, strings.TrimSpace(m[1]))
		blocks = append(blocks, m[2])
	}
	return blocks, infos
}

// steps reads the console blocks of a page. A line after a prompt is a command,
// which a backslash at its end continues; the others are its output.
func steps(text string) []step {
	var all []step
	blocks, terminals := fences(text, "console")
	for i, block := range blocks {
		current := &step{terminal: terminals[i]}
		end := func() {
			if current.text != "" {
				all = append(all, *current)
			}
		}
		for line := range strings.Lines(block) {
			command, isCommand := strings.CutPrefix(line, "$ ")
			switch {
			case isCommand:
				end()
				current = &step{terminal: terminals[i], command: command}
			case strings.HasSuffix(current.command, "\\\n") && len(current.want) == 0:
				current.command += line
			default:
				current.want = append(current.want, strings.TrimSuffix(line, "\n"))
			}
			current.text += line
		}
		end()
	}
	return all
}

// only is the part of a page below a heading.
func only(text, heading string) string {
	_, after, found := strings.Cut(text, "\n"+heading)
	if !found {
		return ""
	}
	part, _, _ := strings.Cut(after, "\n## ")
	return part
}

// without is a page without the part below a heading.
func without(text, heading string) string {
	return strings.Replace(text, only(text, heading), "", 1)
}

// more stands in a page for what it leaves out: lines, or a part of one.
const more = "…"

// matches reports whether got is what was wanted, but for what differs with
// every run.
func matches(want, got []string) bool {
	switch {
	case len(want) == 0:
		return len(got) == 0
	case want[0] == more:
		for i := range len(got) + 1 {
			if matches(want[1:], got[i:]) {
				return true
			}
		}
		return false
	default:
		return len(got) > 0 && sameLine(want[0], got[0]) && matches(want[1:], got[1:])
	}
}

func sameLine(want, got string) bool {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(settled(want)), more, ".*")
	return regexp.MustCompile("^" + pattern + "$").MatchString(settled(got))
}

// settled takes out of a line what differs with every run.
func settled(line string) string {
	for _, r := range []struct{ what, with string }{
		{`\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?Z?`, "TIME"},
		{`(?i)(setpoint-revision: |\bid: |"revision":"|after=)[^"&\s]+`, "${1}REVISION"},
		{`\btoken [a-z2-7]{12} of`, "token ID of"},
		{`"request_id": ?"[^"]+"`, `"request_id":"ID"`},
		{`^retry: \d+`, "retry: MILLISECONDS"},
		{`─+`, "─"},
		{`[\r\s]+`, " "},
	} {
		line = regexp.MustCompile(r.what).ReplaceAllString(line, r.with)
	}
	return strings.TrimSpace(line)
}
