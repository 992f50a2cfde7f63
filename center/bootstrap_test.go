package center_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/memory"
)

func TestDataOfANewerProgramIsRefused(t *testing.T) {
	for _, tc := range []struct {
		name, format string
		want         string // what the error says; empty for none
		kind         config.ErrorKind
	}{
		{name: "none, as the first program left it"},
		{name: "older", format: "1"},
		{name: "this program's", format: "2"},
		{name: "newer", format: "3", want: "written by a newer Setpoint (layout 3; this program knows up to 2)", kind: config.Unsupported},
		{name: "unreadable", format: "one", want: "does not say how its data is laid out", kind: config.Invalid},
		{name: "negative", format: "-1", want: "does not say how its data is laid out", kind: config.Invalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := memory.New()
			defer s.Close()
			if tc.format != "" {
				if _, err := s.Commit(t.Context(), store.Txn{Writes: []store.Write{{Key: record.FormatKey, Value: []byte(tc.format)}}}); err != nil {
					t.Fatal(err)
				}
			}
			err := center.CheckFormat(t.Context(), s)
			if tc.want == "" {
				if err != nil {
					t.Errorf("want no error, got %v", err)
				}
				return
			}
			if err == nil || config.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want %q of kind %v, got %v", tc.want, tc.kind, err)
			}
		})
	}
}

// A program from before groups, patterns and denials would give more than they do.
func TestRightsThatOlderProgramsWouldMisreadRaiseTheLayout(t *testing.T) {
	n := start(t)
	n.house()
	n.user("ann")
	bind := func(b auth.Binding) {
		t.Helper()
		b.Role, b.Scope = auth.RoleClient, path(t, "acme")
		_, err := n.CreateBinding(n.admin(), b)
		n.must(err)
	}
	for name, test := range map[string]struct {
		raises bool
		act    func()
	}{
		"a grant to a user":      {false, func() { bind(auth.Binding{User: "ann"}) }},
		"a grant to a group":     {true, func() { bind(auth.Binding{Group: "devs"}) }},
		"a denial":               {true, func() { bind(auth.Binding{User: "ann", Deny: true}) }},
		"a pattern":              {true, func() { bind(auth.Binding{User: "ann", Pattern: "*/prod"}) }},
		"a token":                {false, func() { n.token() }},
		"a token with a pattern": {true, func() { n.token(auth.Grant{Role: auth.RoleClient, Scope: path(t, "acme"), Pattern: "*/prod"}) }},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := n.store.Commit(t.Context(), store.Txn{Writes: []store.Write{{Key: record.FormatKey, Value: []byte("1")}}})
			n.must(err)
			test.act()
			want := "1"
			if test.raises {
				want = strconv.Itoa(record.Format)
			}
			if got := string(n.entries(record.FormatKey)[0].Value); got != want {
				t.Errorf("want layout %s, got %s", want, got)
			}
		})
	}
}

func (n *node) token(grants ...auth.Grant) {
	n.t.Helper()
	_, _, err := n.CreateToken(n.admin(), center.NewToken{Grants: grants})
	n.must(err)
}
