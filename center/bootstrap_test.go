package center_test

import (
	"strings"
	"testing"

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
		{name: "this program's", format: "1"},
		{name: "newer", format: "2", want: "written by a newer Setpoint (layout 2; this program knows up to 1)", kind: config.Unsupported},
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
