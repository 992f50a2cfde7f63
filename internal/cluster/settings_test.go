package cluster

import (
	"strings"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/plugin"
)

func TestSettingsSayEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		make func(*Settings)
		want string // empty if it is good
	}{
		{"defaults", func(*Settings) {}, ""},
		{"one founder", func(s *Settings) { s.Members = []string{"n1=h1:7403"} }, ""},
		{"three founders with files", func(s *Settings) {
			s.Members = []string{"n1=h1:7403", "n2=h2:7403", "n3=[::1]:7403"}
			s.CertFile, s.KeyFile, s.CAFile = "a", "b", "c"
		}, ""},
		{"a founder that joins in place of a lost one", func(s *Settings) {
			s.Members, s.Join = []string{"n1=h1:7403", "n2=h2:7403"}, []string{"h1:7403"}
		}, ""},
		{"a port that is free", func(s *Settings) { s.Addr = ":0" }, ""},
		{"a name with a slash", func(s *Settings) { s.Name = "a/b" }, `settings name: invalid: "a/b" is no name`},
		{"a long name", func(s *Settings) { s.Name = strings.Repeat("n", 64) }, "is no name"},
		{"no token", func(s *Settings) { s.Token = "" }, "settings token: invalid: must have 1 to 128 characters"},
		{"an address without a port", func(s *Settings) { s.Addr = "h1" }, `settings addr: invalid: "h1" is no address; write host:port`},
		{"a URL", func(s *Settings) { s.Addr = "https://h1:7403" }, "settings addr: invalid"},
		{"a port that is none", func(s *Settings) { s.Addr = "h1:http" }, `"http" is no port`},
		{"to be reached everywhere", func(s *Settings) { s.Advertise = "0.0.0.0:7403" }, `"0.0.0.0:7403" names no host; write one by which other nodes reach it`},
		{"to be reached at no port", func(s *Settings) { s.Advertise = "h1:0" }, "settings advertise: invalid"},
		{"a member without a name", func(s *Settings) { s.Members = []string{"h1:7403"} }, `settings members: invalid: "h1:7403" is no member; write name=host:port`},
		{"a name twice", func(s *Settings) { s.Members = []string{"n1=h1:1", "n1=h2:1"} }, "the name n1 is there twice"},
		{"an address twice", func(s *Settings) { s.Members = []string{"n1=h1:1", "n2=h1:1"} }, "n1 and n2 have the same address h1:1"},
		{"founders without certificates", func(s *Settings) { s.Members = []string{"n1=h1:1", "n2=h2:1"} }, "settings cert_file: invalid: is missing; nodes that found a cluster together need certificates of one authority"},
		{"a certificate without a key", func(s *Settings) { s.CertFile = "a" }, "settings key_file: invalid: is missing"},
		{"a key alone", func(s *Settings) { s.KeyFile = "a" }, "settings cert_file: invalid: is missing; key_file needs it"},
		{"an authority alone", func(s *Settings) { s.CAFile = "a" }, "settings cert_file: invalid: is missing; ca_file needs it"},
		{"an edge that joins nobody", func(s *Settings) { s.Edge = true }, "settings join: invalid: is missing; an edge needs"},
		{"an edge among members", func(s *Settings) {
			s.Edge, s.Join, s.Members = true, []string{"h1:1"}, []string{"n1=h1:1"}
		}, "settings members: invalid: must be empty for an edge"},
		{"a token for nobody", func(s *Settings) {
			s.JoinToken = config.JoinTokenText{ID: pad("x", 12), Secret: config.NewSecret(pad("y", 26)), Fingerprint: strings.Repeat("0", 64)}.Text()
		}, "settings join: invalid: is missing; join_token is of use only with"},
		{"no time", func(s *Settings) { s.StartWait = 0 }, "settings start_wait: invalid"},
		{"no clock at all", func(s *Settings) { s.MaxClockOffset = 2 * time.Hour }, "settings max_clock_offset: invalid"},
		{"a negative reserve", func(s *Settings) { s.DiskReserve = -plugin.MiB }, "settings disk_reserve: invalid"},
		{"a negative waste", func(s *Settings) { s.DefragmentWaste = -1 }, "settings defragment_waste: invalid"},
		{"a pattern that never matches", func(s *Settings) { s.AllowedNames = []string{"a*"} }, "settings allowed_names: invalid"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s Settings
			s.Defaults()
			tc.make(&s)
			err := s.Validate()
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("want %q, got %v", tc.want, err)
			}
		})
	}
}

func TestSettingsCompleteEachOther(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name                string
		make                func(*Settings)
		wantAddr, wantReach string
	}{
		{"from the members", func(s *Settings) { s.Members = []string{"n1=h1:7500"} }, ":7500", "h1:7500"},
		{"from an address to listen at", func(s *Settings) { s.Addr = "10.0.0.1:7403" }, "10.0.0.1:7403", "10.0.0.1:41"},
		{"on this machine only", func(s *Settings) { s.Members = []string{"n1=localhost:7500"} }, "localhost:7500", "localhost:7500"},
		{"at a loopback address only", func(s *Settings) { s.Advertise, s.Join = "[::1]:7500", []string{"h2:7403"} }, "[::1]:7500", "[::1]:7500"},
		{"everywhere, though known on this machine", func(s *Settings) { s.Members, s.Addr = []string{"n1=localhost:7500"}, ":7500" }, ":7500", "localhost:7500"},
		{"by default", func(s *Settings) { s.Join = []string{"h2:7403"} }, ":7403", "HOST:41"},
		{"from what others shall use", func(s *Settings) { s.Advertise, s.Join = "h1:7500", []string{"h2:7403"} }, ":7500", "h1:7500"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := Settings{Name: "n1"}
			tc.make(&s)
			if !s.Enabled() {
				t.Error("want it enabled")
			}
			if err := s.resolve(); err != nil {
				t.Fatal(err)
			}
			s.advertise(address("[::]:41"))
			if s.Addr != tc.wantAddr {
				t.Errorf("want to listen at %q, got %q", tc.wantAddr, s.Addr)
			}
			if !strings.HasPrefix(tc.wantReach, "HOST") && s.Advertise != tc.wantReach || s.Advertise == "" {
				t.Errorf("want to be reached at %q, got %q", tc.wantReach, s.Advertise)
			}
		})
	}
	var alone Settings
	alone.Defaults()
	if alone.Enabled() {
		t.Error("want no cluster by default")
	}
	if err := alone.resolve(); err != nil || alone.Name == "" {
		t.Errorf("want the host's name, got %q, %v", alone.Name, err)
	}
}

// address is a net.Addr.
type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }
