package check

import (
	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/test/fault/history"
)

// Audited wants exactly one audit record of each write that was acknowledged and
// of each release that is there, none twice, and none of what is not there.
func Audited(ops []history.Op, past history.Past) []string {
	var wrong problems
	records := map[string]client.AuditRecord{} // by id
	told := map[string]string{}                // the id, by comment
	for _, r := range past.Audit {
		if _, twice := records[r.ID]; twice {
			wrong.add("the audit record %s is there twice", r.ID)
		}
		if other, twice := told[r.Comment]; twice && other != r.ID {
			wrong.add("the audit records %s and %s tell of the same act: %s", other, r.ID, r.Comment)
		}
		records[r.ID], told[r.Comment] = r, r.ID
	}
	for _, o := range ops {
		if !o.Kind.Writes() || o.Outcome != history.OK {
			continue
		}
		r, there := records[o.ChangeSet]
		if !there {
			wrong.add("%s was acknowledged as change set %s and has no audit record", o.Comment, o.ChangeSet)
			continue
		}
		if r.Outcome != "done" || r.Comment != o.Comment || len(r.Items) != len(o.Items) {
			wrong.add("the audit record of %s is of another act: %+v", o.Comment, r)
		}
	}
	there := releasesBySet(past)
	for _, path := range paths(past.Releases) {
		for _, r := range past.Releases[path] {
			if _, audited := records[r.ChangeSet]; !audited {
				wrong.add("%s: version %d has no audit record", path, r.Version)
			}
		}
	}
	for _, r := range past.Audit {
		for _, item := range r.Items {
			if !there[released{r.ID, item.Path, item.Version}] {
				wrong.add("the audit record %s tells of version %d of %s, which is not there", r.ID, item.Version, item.Path)
			}
		}
	}
	return wrong.list()
}

// released is one release of a change set.
type released struct {
	set     string
	path    config.Path
	version int64
}

func releasesBySet(past history.Past) map[released]bool {
	all := map[released]bool{}
	for path, releases := range past.Releases {
		for _, r := range releases {
			all[released{r.ChangeSet, path, r.Version}] = true
		}
	}
	return all
}
