package check

import (
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/test/fault/history"
)

// Lost wants every write that was acknowledged to be in the past as it was
// acknowledged, and each one that was refused not to be there. One whose outcome
// is unknown is there as a whole or not at all. And there is nothing else.
func Lost(ops []history.Op, past history.Past) []string {
	var wrong problems
	asked := map[string]history.Op{}
	found := map[string][]config.Release{}
	for _, path := range paths(past.Releases) {
		for i, r := range past.Releases[path] {
			if want := past.Releases[path][0].Version + int64(i); r.Version != want {
				wrong.add("%s: want version %d at its place, found %d", path, want, r.Version)
			}
			found[r.Comment] = append(found[r.Comment], r)
		}
	}
	for _, o := range ops {
		if !o.Kind.Writes() {
			continue
		}
		asked[o.Comment] = o
		there := found[o.Comment]
		switch {
		case o.Outcome == history.OK:
			keepsItem(&wrong, o, there)
		case o.Outcome == history.Refused && len(there) > 0:
			wrong.add("%s was refused (%s) and is there as version %d of %s", o.Comment, o.Err, there[0].Version, there[0].Path)
		case o.Outcome == history.Unknown && len(there) > 0 && len(there) != len(o.Items):
			wrong.add("%s, without an answer, is there in part: %d of %d configs", o.Comment, len(there), len(o.Items))
		}
	}
	for _, path := range paths(past.Releases) {
		for _, r := range past.Releases[path] {
			if _, known := asked[r.Comment]; !known {
				wrong.add("%s: nobody has asked for version %d (%q)", path, r.Version, r.Comment)
			}
		}
	}
	return wrong.list()
}

// keepsItem wants each item of an acknowledged write to be there.
func keepsItem(wrong *problems, o history.Op, there []config.Release) {
	for _, item := range o.Items {
		kept := false
		for _, r := range there {
			if r.Path != item.Path {
				continue
			}
			kept = true
			if r.Version != item.Version || r.Digest != item.Digest || r.ChangeSet != o.ChangeSet {
				wrong.add("%s was acknowledged as version %d of %s, digest %.8s in change set %s, and is there as version %d, digest %.8s in %s",
					o.Comment, item.Version, item.Path, item.Digest, o.ChangeSet, r.Version, r.Digest, r.ChangeSet)
			}
		}
		if !kept {
			wrong.add("%s was acknowledged by %s at %s as version %d of %s and is lost", o.Comment, o.Node, o.Return, item.Version, item.Path)
		}
	}
}
