package scalar

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
)

// written is what a scalar looks like.
func written(m graphql.Marshaler) string {
	var b strings.Builder
	m.MarshalGQL(&b)
	return b.String()
}

// read reads with one of the functions; what is wrong is "wrong".
func read[T any](unmarshal func(any) (T, error)) func(any) any {
	return func(v any) any {
		got, err := unmarshal(v)
		if err == nil {
			return got
		}
		if config.KindOf(err) != config.Invalid {
			return err
		}
		return "wrong"
	}
}

func TestReading(t *testing.T) {
	noon := time.Date(2027, 1, 31, 10, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		read func(any) any
		want map[any]any // by what is read
	}{
		"String":   {read(UnmarshalString), map[any]any{nil: "", "a": "a", int64(1): "wrong", true: "wrong", json.Number("1"): "wrong"}},
		"Boolean":  {read(UnmarshalBoolean), map[any]any{nil: false, true: true, "true": "wrong", int64(1): "wrong"}},
		"Int":      {read(UnmarshalInt), map[any]any{nil: 0, int64(7): 7, json.Number("-7"): -7, json.Number("1.5"): "wrong", json.Number("2147483648"): "wrong", "7": "wrong", 1.0: "wrong"}},
		"Long":     {read(UnmarshalLong), map[any]any{nil: int64(0), json.Number("9007199254740993"): int64(9007199254740993), "9007199254740993": int64(9007199254740993), int64(math.MinInt64): int64(math.MinInt64), "9223372036854775808": "wrong", "": "wrong", "1e3": "wrong", "x": "wrong", 1.0: "wrong"}},
		"Share":    {read(UnmarshalShare), map[any]any{nil: config.Share(0), json.Number("1250"): config.Share(1250), "1250": "wrong", json.Number("12.5"): "wrong"}},
		"Time":     {read(UnmarshalTime), map[any]any{nil: time.Time{}, "2027-01-31T10:00:00Z": noon, "2027-01-31T12:00:00+02:00": noon, "2027-01-31": "wrong", int64(0): "wrong"}},
		"Seconds":  {read(UnmarshalSeconds), map[any]any{nil: config.Seconds(0), json.Number("1.5"): config.Seconds(1.5), int64(90): config.Seconds(90), 0.5: config.Seconds(0.5), "1m30s": config.Seconds(90), "90": "wrong", json.Number("1e999"): "wrong", true: "wrong"}},
		"Span":     {read(UnmarshalSpan), map[any]any{nil: time.Duration(0), json.Number("1.5"): 1500 * time.Millisecond, "1h": time.Hour, json.Number("1e300"): "wrong", json.Number("-1e300"): "wrong", "x": "wrong"}},
		"Path":     {read(UnmarshalPath), map[any]any{nil: config.Path{}, "": config.Path{}, "a/b": config.Path{Tenant: "a", App: "b"}, "A/b": "wrong", "a/b/c/d/e": "wrong", int64(1): "wrong"}},
		"Token":    {read(UnmarshalToken), map[any]any{nil: config.Token(""), "2s.k3j9": config.Token("2s.k3j9"), int64(1): "wrong"}},
		"Selector": {read(UnmarshalSelector), map[any]any{"region in (eu": "wrong", int64(1): "wrong"}},
		"Network":  {read(UnmarshalNetwork), map[any]any{"10.1.2.3/16": "wrong", "x": "wrong", true: "wrong"}},
	} {
		for v, want := range c.want {
			if diff := cmp.Diff(want, c.read(v)); diff != "" {
				t.Errorf("%s of %#v (-want +got):\n%s", name, v, diff)
			}
		}
	}
}

func TestReadingOfWhatIsLarger(t *testing.T) {
	for text, want := range map[any][]byte{nil: nil, "": {}, "AP8=": {0, 255}} {
		if got, err := UnmarshalBase64(text); err != nil || !cmp.Equal(want, got) {
			t.Errorf("%v: want %#v, got %#v, %v", text, want, got, err)
		}
	}
	for _, bad := range []any{"A", "AP8", "!", int64(1)} {
		if got, err := UnmarshalBase64(bad); err == nil {
			t.Errorf("%v: want it to be refused, got %v", bad, got)
		}
	}
	labels, err := UnmarshalLabels(map[string]any{"region": "eu", "": ""})
	if diff := cmp.Diff(map[string]string{"region": "eu", "": ""}, labels); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, bad := range []any{"a=b", map[string]any{"a": int64(1)}, map[string]any{"a": nil}, []any{}} {
		if got, err := UnmarshalLabels(bad); err == nil {
			t.Errorf("%v: want it to be refused, got %v", bad, got)
		}
	}
	if got, err := UnmarshalLabels(nil); got != nil || err != nil {
		t.Errorf("want none, got %v, %v", got, err)
	}
	secret, err := UnmarshalSecret("hush")
	if err != nil || secret.Reveal() != "hush" {
		t.Errorf("want the secret, got %v", err)
	}
}

func TestWriting(t *testing.T) {
	network, err := config.ParseNetwork("10.1.0.0/16")
	if err != nil {
		t.Fatal(err)
	}
	selector, err := config.ParseSelector("region in (eu, us)")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		m    graphql.Marshaler
		want string
	}{
		{MarshalString("a\"\n<é"), `"a\"\n<é"`},
		{MarshalBoolean(true), "true"}, {MarshalInt(-7), "-7"}, {MarshalShare(1250), "1250"},
		{MarshalLong(math.MaxInt64), "9223372036854775807"},
		{MarshalTime(time.Date(2027, 1, 31, 10, 0, 0, 5000, time.UTC)), `"2027-01-31T10:00:00.000005Z"`},
		{MarshalTime(time.Time{}), "null"},
		{MarshalSeconds(1.5), "1.5"}, {MarshalSeconds(90), "90"}, {MarshalSpan(90 * time.Second), "90"},
		{MarshalBase64([]byte{0, 255}), `"AP8="`}, {MarshalBase64(nil), `""`},
		{MarshalLabels(map[string]string{"b": "<", "a": "é"}), `{"a":"é","b":"\u003c"}`}, {MarshalLabels(nil), "null"},
		{MarshalPath(config.Path{Tenant: "a", App: "b"}), `"a/b"`}, {MarshalToken("2s.k3j9"), `"2s.k3j9"`},
		{MarshalSelector(selector), `"region in (eu, us)"`}, {MarshalNetwork(network), `"10.1.0.0/16"`},
		{MarshalSecret(config.NewSecret("hush")), `"hush"`},
	} {
		if got := written(c.m); got != c.want || !json.Valid([]byte(got)) {
			t.Errorf("want %s, got %s", c.want, got)
		}
	}
}

// FuzzText holds that what reads texts reads no text into what is written as another.
func FuzzText(f *testing.F) {
	for _, s := range []string{"", "a/b/c/d", "10.0.0.0/8", "region in (eu)", "2027-01-31T10:00:00Z", "1h30m", "AP8=", "7", "-9223372036854775808"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := UnmarshalPath(s); err == nil {
			if again, err := UnmarshalPath(p.String()); err != nil || again != p {
				t.Errorf("path %q: %v, %v", s, again, err)
			}
		}
		if n, err := UnmarshalLong(s); err == nil {
			if again, err := UnmarshalLong(json.Number(written(MarshalLong(n)))); err != nil || again != n {
				t.Errorf("number %q: %v, %v", s, again, err)
			}
		}
		if b, err := UnmarshalBase64(s); err == nil {
			if again, err := UnmarshalBase64(strings.Trim(written(MarshalBase64(b)), `"`)); err != nil || !cmp.Equal(b, again) {
				t.Errorf("bytes %q: %v, %v", s, again, err)
			}
		}
		if at, err := UnmarshalTime(s); err == nil && !at.IsZero() {
			if again, err := UnmarshalTime(strings.Trim(written(MarshalTime(at)), `"`)); err != nil || !again.Equal(at) {
				t.Errorf("time %q: %v, %v", s, again, err)
			}
		}
		for _, unmarshal := range []func(any) any{read(UnmarshalSpan), read(UnmarshalSelector), read(UnmarshalNetwork)} {
			if err, is := unmarshal(s).(error); is {
				t.Errorf("%q: want the caller's mistake, got %v", s, err)
			}
		}
	})
}
