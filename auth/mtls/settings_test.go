package mtls_test

import (
	"strings"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/auth/mtls"
	"github.com/setpointhq/setpoint/config"
)

func TestSettings(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*mtls.Settings)
		want   string
	}{
		"defaults and a file":       {func(*mtls.Settings) {}, ""},
		"no file":                   {func(s *mtls.Settings) { s.CAFile = "" }, "is missing; name the file of the authorities"},
		"a name that is none":       {func(s *mtls.Settings) { s.Name = "Corp:x" }, "auth.mtls.name: "},
		"no identity":               {func(s *mtls.Settings) { s.Identity = nil }, "names nothing; without it"},
		"an unknown identity":       {func(s *mtls.Settings) { s.Identity = []string{"cn"} }, `"cn" is none of spiffe, dns, email, common_name`},
		"one twice":                 {func(s *mtls.Settings) { s.Identity = []string{"dns", "dns"} }, "names dns twice"},
		"unknown groups":            {func(s *mtls.Settings) { s.Groups = []string{"ou"} }, "auth.mtls.groups: "},
		"an id as a trust domain":   {func(s *mtls.Settings) { s.TrustDomains = []string{"spiffe://example.org"} }, "is no trust domain"},
		"domains without SPIFFE":    {func(s *mtls.Settings) { s.Identity, s.TrustDomains = []string{"dns"}, []string{"example.org"} }, "of no use"},
		"a negative validity":       {func(s *mtls.Settings) { s.MaxValidity = -1 }, "auth.mtls.max_validity: "},
		"remembered for too long":   {func(s *mtls.Settings) { s.Remember = 2 * time.Hour }, "auth.mtls.remember: "},
		"too many remembered":       {func(s *mtls.Settings) { s.RememberMost = 0 }, "auth.mtls.remember_most: "},
		"a throttle without sense":  {func(s *mtls.Settings) { s.PerAddress.Failures = 0 }, "auth.mtls.per_address.failures: "},
		"nothing remembered at all": {func(s *mtls.Settings) { s.Remember = 0 }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var s mtls.Settings
			s.Defaults()
			s.CAFile = "ca.pem"
			tc.change(&s)
			err := s.Validate()
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("want them good, got %v", err)
			case tc.want != "" && (config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("want %q, got %v", tc.want, err)
			}
		})
	}
}
