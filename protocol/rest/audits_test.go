package rest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/setpointhq/setpoint/audit"
)

func TestAuditIsVerified(t *testing.T) {
	s := start(t)
	var v audit.Verification
	s.into(http.StatusOK, s.do(request{path: "/v1/audit/verify"}), &v)
	if !v.Intact || v.Unsealed == 0 || v.Findings == nil {
		t.Errorf("want nothing wrong and records unsealed, got %+v", v)
	}
	s.into(http.StatusOK, s.do(request{path: "/v1/audit/verify?sequence=3&expect=" + strings.Repeat("0a", 32)}), &v)
	if v.Intact || len(v.Findings) != 1 || v.Findings[0].Kind != audit.Replaced || v.Findings[0].Checkpoint != 3 {
		t.Errorf("want the noted head missed, got %+v", v)
	}
	var seal audit.Seal
	s.into(http.StatusOK, s.do(request{path: "/v1/audit/seal"}), &seal)
	if seal != (audit.Seal{}) {
		t.Errorf("want nothing sealed, got %+v", seal)
	}
	for _, query := range []string{"sequence=1", "expect=" + strings.Repeat("0a", 32), "sequence=1&expect=xy", "sequence=-1", "sequence=x", "other=1"} {
		s.problem(http.StatusBadRequest, "invalid", s.do(request{path: "/v1/audit/verify?" + query}))
	}
}
