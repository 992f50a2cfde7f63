package rest

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/setpointhq/setpoint/config"
)

const read = "/v1/configs/acme/shop/prod/app.yaml"

func TestRead(t *testing.T) {
	s := start(t)
	set := s.publish("acme/shop/prod/app.yaml", "a: 1\n")
	r := s.do(request{path: read, auth: s.app})
	want := map[string]string{
		"ETag": `"` + set.Items[0].Digest + `"`, "Setpoint-Version": "1", "Setpoint-Format": "yaml",
		"Setpoint-Revision": string(set.Revision), "Content-Type": "application/yaml", "Content-Length": "5",
		"Vary": "", "Cache-Control": "private, no-cache", "Content-Security-Policy": "", "X-Content-Type-Options": "nosniff",
	}
	got := map[string]string{}
	for k := range want {
		got[k] = r.Header.Get(k)
	}
	if diff := cmp.Diff(want, got); diff != "" || string(r.body) != "a: 1\n" || r.StatusCode != http.StatusOK {
		t.Errorf("%d %q %s", r.StatusCode, r.body, diff)
	}
	head := s.do(request{method: http.MethodHead, path: read, auth: s.app})
	for k := range want {
		got[k] = head.Header.Get(k)
	}
	if diff := cmp.Diff(want, got); diff != "" || len(head.body) != 0 || head.StatusCode != http.StatusOK {
		t.Errorf("HEAD: %d %q %s", head.StatusCode, head.body, diff)
	}
	s.problem(http.StatusNotFound, "not_found", s.do(request{path: "/v1/configs/acme/shop/prod/none.yaml", auth: s.app}))
	s.problem(http.StatusForbidden, "denied", s.do(request{path: "/v1/configs/acme/shop/test/app.yaml", auth: s.app}))
}

func TestReadNotModified(t *testing.T) {
	s := start(t)
	tag := `"` + s.publish("acme/shop/prod/app.yaml", strings.Repeat("# the same\n", 200)).Items[0].Digest + `"`
	coded := tag[:len(tag)-1] + `-gzip"`
	for header, want := range map[string]string{
		tag: tag, "W/" + tag: tag, coded: coded, `"x", ` + coded: coded, "*": tag,
		`"x"`: "", tag[1:]: "", tag[:len(tag)-1] + `-br"`: "", `""`: "", `,,`: "",
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			r := s.do(request{method: method, path: read, auth: s.app, header: map[string]string{"If-None-Match": header}})
			if want == "" {
				if r.StatusCode != http.StatusOK {
					t.Errorf("%s %s: want 200, got %d", method, header, r.StatusCode)
				}
				continue
			}
			if r.StatusCode != http.StatusNotModified || r.Header.Get("ETag") != want || len(r.body) != 0 || r.Header.Get("Setpoint-Version") != "1" {
				t.Errorf("%s %s: want 304 %s, got %d %v", method, header, want, r.StatusCode, r.Header)
			}
		}
	}
}

func TestReadCompressed(t *testing.T) {
	s := start(t)
	text := strings.Repeat("a_name: a value # and a remark\n", 100)
	s.publish("acme/shop/prod/app.yaml", "x: |\n  "+strings.ReplaceAll(text, "\n", "\n  "))
	s.publish("acme/shop/prod/small.yaml", "a: 1\n")
	noise := make([]byte, 3000)
	for i, state := 0, uint32(1); i < len(noise); i++ {
		state = state*1664525 + 1013904223
		noise[i] = byte(state >> 24)
	}
	s.publish("acme/shop/prod/noise.json", `"`+base64.StdEncoding.EncodeToString(noise)+`"`)
	plain := s.do(request{path: read}).body
	for accept, want := range map[string]string{
		"": "", "gzip": "gzip", "zstd": "zstd", "gzip, deflate, br, zstd": "zstd", "gzip;q=1.0, zstd;q=0.5": "gzip",
		"br": "", "gzip;q=0": "", "identity, gzip;q=0.1": "", "*": "gzip",
	} {
		t.Run(accept, func(t *testing.T) {
			for range 2 { // made, then remembered
				r := s.do(request{path: read, header: map[string]string{"Accept-Encoding": accept}})
				if got := r.Header.Get("Content-Encoding"); got != want {
					t.Fatalf("want %q, got %q", want, got)
				}
				if got := decoded(t, want, r.body); !bytes.Equal(got, plain) {
					t.Errorf("want the same bytes, got %q", got)
				}
				if suffix := `-` + want + `"`; want != "" && !strings.HasSuffix(r.Header.Get("ETag"), suffix) {
					t.Errorf("want a tag of its own, got %s", r.Header.Get("ETag"))
				}
				if r.Header.Get("Content-Length") != fmt.Sprint(len(r.body)) || r.Header.Get("Vary") != "Accept-Encoding" {
					t.Errorf("got %v for %d bytes", r.Header, len(r.body))
				}
			}
		})
	}
	for _, path := range []string{"small.yaml", "noise.json"} {
		if r := s.do(request{path: "/v1/configs/acme/shop/prod/" + path, header: map[string]string{"Accept-Encoding": "zstd, gzip"}}); path == "small.yaml" && r.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s: want it as it is, got %v", path, r.Header)
		}
	}
}

func TestCompressionCanBeTurnedOff(t *testing.T) {
	s := start(t, func(s *Settings) { s.Compression = 0 })
	s.publish("acme/shop/prod/app.yaml", strings.Repeat("# the same\n", 500))
	for _, path := range []string{read, "/v1/configs/acme/shop/prod"} {
		if r := s.do(request{path: path, header: map[string]string{"Accept-Encoding": "gzip"}}); r.StatusCode != http.StatusOK || r.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s: got %d %v", path, r.StatusCode, r.Header)
		}
	}
}

func decoded(t *testing.T, coding string, b []byte) []byte {
	t.Helper()
	var err error
	switch coding {
	case "gzip":
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(b)); err == nil {
			b, err = io.ReadAll(z)
		}
	case "zstd":
		var z *zstd.Decoder
		if z, err = zstd.NewReader(nil); err == nil {
			b, err = z.DecodeAll(b, nil)
			z.Close()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReadFreshness(t *testing.T) {
	s := start(t)
	set := s.publish("acme/shop/prod/app.yaml", "a: 1\n")
	for query, want := range map[string]int{
		"?min_revision=" + string(set.Revision):                               http.StatusOK,
		"?consistency=strong":                                                 http.StatusOK,
		"?consistency=strong&instance=i-1&labels=zone%3Da,tier%3Db&slot=blue": http.StatusOK,
		"?min_revision=nonsense":                                              http.StatusBadRequest,
		"?min_revision=1.other":                                               http.StatusBadRequest,
		"?consistency=weak":                                                   http.StatusBadRequest,
		"?min_revison=x":                                                      http.StatusBadRequest,
		"?labels=zone":                                                        http.StatusBadRequest,
		"?labels=a%3D1,a%3D2":                                                 http.StatusBadRequest,
		"?instance=%00":                                                       http.StatusBadRequest,
		"?%zz":                                                                http.StatusBadRequest,
		"?labels=" + strings.Repeat("a%3D1,", 200):                            http.StatusBadRequest,
	} {
		for _, path := range []string{read, "/v1/configs/acme/shop/prod"} {
			if r := s.do(request{path: path + query, auth: s.app}); r.StatusCode != want {
				t.Errorf("%s%s: want %d, got %d %s", path, query, want, r.StatusCode, r.body)
			}
		}
	}
}

// Content that a browser would run is shown with a policy that forbids it.
func TestActiveContentIsDisarmed(t *testing.T) {
	a := &api{mediaType: func(string) string { return "image/svg+xml" }}
	h := http.Header{}
	a.contentHeaders(h, &config.Release{Format: "xml"}, `"x"`, "")
	if got := h.Get("Content-Security-Policy"); !strings.Contains(got, "sandbox") {
		t.Errorf("want a policy, got %v", h)
	}
}

func TestReadEnv(t *testing.T) {
	s := start(t)
	path := "/v1/configs/acme/shop/prod"
	r := s.do(request{path: path, auth: s.app})
	var got envAnswer
	s.into(http.StatusOK, r, &got)
	if got.Configs == nil || len(got.Configs) != 0 || got.Env != "acme/shop/prod" || got.Revision == "" {
		t.Errorf("want an empty list, got %s", r.body)
	}
	s.publish("acme/shop/prod/a.yaml", "a: \"\\u2028 <&> \"\n")
	set := s.publish("acme/shop/prod/b.yaml", strings.Repeat("# the same\n", 500))
	r = s.do(request{path: path, auth: s.app})
	s.into(http.StatusOK, r, &got)
	if len(got.Configs) != 2 || *got.Configs[0].Text != "a: \"\\u2028 <&> \"\n" || got.Configs[1].Version != 1 || got.Revision != set.Revision {
		t.Errorf("got %s", r.body)
	}
	tag := r.Header.Get("ETag")
	for _, coding := range []string{"gzip", "zstd"} {
		z := s.do(request{path: path, auth: s.app, header: map[string]string{"Accept-Encoding": coding}})
		if z.Header.Get("Content-Encoding") != coding || !bytes.Equal(decoded(t, coding, z.body), r.body) {
			t.Errorf("%s: got %v", coding, z.Header)
		}
		again := s.do(request{path: path, auth: s.app, header: map[string]string{"If-None-Match": z.Header.Get("ETag")}})
		if again.StatusCode != http.StatusNotModified || again.Header.Get("ETag") != z.Header.Get("ETag") {
			t.Errorf("%s: want 304, got %d %v", coding, again.StatusCode, again.Header)
		}
	}
	s.publish("acme/shop/test/other.yaml", "a: 1\n")
	if r := s.do(request{path: path, auth: s.app, header: map[string]string{"If-None-Match": tag}}); r.StatusCode != http.StatusNotModified {
		t.Errorf("want another env's change to leave this one's tag, got %d", r.StatusCode)
	}
	s.publish("acme/shop/prod/a.yaml", "a: 2\n")
	if r := s.do(request{path: path, auth: s.app, header: map[string]string{"If-None-Match": tag}}); r.StatusCode != http.StatusOK {
		t.Errorf("want 200, got %d", r.StatusCode)
	}
	if r := s.do(request{method: http.MethodHead, path: path, auth: s.app}); r.StatusCode != http.StatusOK || r.Header.Get("ETag") == "" {
		t.Errorf("HEAD: got %d", r.StatusCode)
	}
	s.problem(http.StatusNotFound, "not_found", s.do(request{path: "/v1/configs/acme/shop/none"}))
}

func TestAddress(t *testing.T) {
	a := &api{}
	var settings Settings
	settings.TrustedProxies = []string{"10.0.0.0/8", "192.0.2.7", "::1"}
	proxies, err := settings.proxies()
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name, peer, forwarded, want string
		trusting                    bool
	}{
		{"peer", "198.51.100.1:5", "", "198.51.100.1", true},
		{"v6 peer", "[2001:db8::1]:5", "", "2001:db8::1", true},
		{"stranger's header", "198.51.100.1:5", "203.0.113.9", "198.51.100.1", true},
		{"no proxies at all", "10.0.0.1:5", "203.0.113.9", "10.0.0.1", false},
		{"proxy", "10.0.0.1:5", "203.0.113.9", "203.0.113.9", true},
		{"mapped proxy", "[::ffff:10.0.0.1]:5", "203.0.113.9", "203.0.113.9", true},
		{"chain", "10.0.0.1:5", "1.2.3.4, 203.0.113.9, 192.0.2.7", "203.0.113.9", true},
		{"only proxies", "10.0.0.1:5", "10.0.0.2", "10.0.0.2", true},
		{"nonsense", "10.0.0.1:5", "x, y", "10.0.0.1", true},
		{"nonsense before a proxy", "10.0.0.1:5", "x, 10.0.0.2", "10.0.0.2", true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a.proxies = nil
			if c.trusting {
				a.proxies = proxies
			}
			r := &http.Request{RemoteAddr: c.peer, Header: http.Header{}}
			if c.forwarded != "" {
				r.Header.Set("X-Forwarded-For", c.forwarded)
			}
			if got := a.address(r); got != c.want {
				t.Errorf("want %s, got %s", c.want, got)
			}
		})
	}
}

func TestSettings(t *testing.T) {
	var s Settings
	s.Defaults()
	if err := s.Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	for name, spoil := range map[string]func(*Settings){
		"body_timeout": func(s *Settings) { s.BodyTimeout = 0 }, "change_set_body": func(s *Settings) { s.ChangeSetBody = 1 },
		"archive_body": func(s *Settings) { s.ArchiveBody = 0 }, "compression_cache": func(s *Settings) { s.Compression = -1 },
		"fragment_cache": func(s *Settings) { s.Fragments = 0 }, "max_watchers": func(s *Settings) { s.MaxWatchers = 0 },
		"max_patterns": func(s *Settings) { s.MaxPatterns = 1 << 20 }, "max_wait": func(s *Settings) { s.MaxWait = 0 },
		"heartbeat": func(s *Settings) { s.Heartbeat = 0 }, "stream_write_timeout": func(s *Settings) { s.StreamWriteTimeout = 0 },
		"stream_retry": func(s *Settings) { s.StreamRetry = 0 }, "trusted_proxies": func(s *Settings) { s.TrustedProxies = []string{"10.0.0.0/99"} },
	} {
		var s Settings
		s.Defaults()
		spoil(&s)
		err := s.Validate()
		if err == nil || !strings.Contains(err.Error(), "protocols.rest."+name) || config.KindOf(err) != config.Invalid {
			t.Errorf("%s: want it refused and named, got %v", name, err)
		}
	}
}
