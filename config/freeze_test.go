package config_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the program has it too

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
)

func once(name, from, to string) config.Freeze {
	f := config.Freeze{Name: name}
	f.From, _ = time.Parse(time.RFC3339, from)
	f.To, _ = time.Parse(time.RFC3339, to)
	return f
}

func weekly(name, from, to, zone string) config.Freeze {
	return config.Freeze{Name: name, Weekly: &config.Weekly{From: from, To: to, Zone: zone}}
}

func TestFrozen(t *testing.T) {
	weekend := weekly("weekend", "fri 17:00", "mon 08:00", "")
	shanghai := weekly("weekend", "fri 17:00", "mon 08:00", "Asia/Shanghai")
	berlin := weekly("night", "sat 22:00", "sun 02:30", "Europe/Berlin")
	morning := weekly("morning", "sun 02:30", "sun 06:00", "Europe/Berlin")
	yearEnd := once("year-end", "2026-12-20T00:00:00Z", "2027-01-02T00:00:00Z")
	tests := []struct {
		name    string
		freezes []config.Freeze
		at      string
		by      string // "" for none
		until   string
	}{
		{"no freezes", nil, "2026-11-21T12:00:00Z", "", ""},
		{"once, before", []config.Freeze{yearEnd}, "2026-12-19T23:59:59Z", "", ""},
		{"once, its first moment", []config.Freeze{yearEnd}, "2026-12-20T00:00:00Z", "year-end", "2027-01-02T00:00:00Z"},
		{"once, its last", []config.Freeze{yearEnd}, "2027-01-01T23:59:59Z", "year-end", "2027-01-02T00:00:00Z"},
		{"once, over", []config.Freeze{yearEnd}, "2027-01-02T00:00:00Z", "", ""},
		{"once, asked in another zone", []config.Freeze{yearEnd}, "2026-12-20T07:30:00+08:00", "", ""},

		{"weekly, before", []config.Freeze{weekend}, "2026-11-20T16:59:59Z", "", ""},
		{"weekly, first moment", []config.Freeze{weekend}, "2026-11-20T17:00:00Z", "weekend", "2026-11-23T08:00:00Z"},
		{"weekly, before the week ends", []config.Freeze{weekend}, "2026-11-21T23:59:59Z", "weekend", "2026-11-23T08:00:00Z"},
		{"weekly, over the week's end", []config.Freeze{weekend}, "2026-11-22T00:00:00Z", "weekend", "2026-11-23T08:00:00Z"},
		{"weekly, over", []config.Freeze{weekend}, "2026-11-23T08:00:00Z", "", ""},
		{"weekly, over the year's end", []config.Freeze{weekend}, "2027-01-01T18:00:00Z", "weekend", "2027-01-04T08:00:00Z"},
		{"weekly, one minute", []config.Freeze{weekly("m", "wed 00:00", "wed 00:01", "")}, "2026-11-25T00:00:30Z", "m", "2026-11-25T00:01:00Z"},
		{"weekly, all but a minute", []config.Freeze{weekly("m", "wed 00:01", "wed 00:00", "")}, "2026-11-25T00:00:30Z", "", ""},
		{"weekly, all but a minute, inside", []config.Freeze{weekly("m", "wed 00:01", "wed 00:00", "")}, "2026-11-25T00:01:00Z", "m", "2026-12-02T00:00:00Z"},

		{"Shanghai is ahead", []config.Freeze{shanghai}, "2026-11-20T08:59:59Z", "", ""},
		{"Shanghai, begun", []config.Freeze{shanghai}, "2026-11-20T09:00:00Z", "weekend", "2026-11-23T00:00:00Z"},
		{"Shanghai, over", []config.Freeze{shanghai}, "2026-11-23T00:00:00Z", "", ""},

		// 2026-03-29: at 01:00 UTC clocks in Berlin go from 02:00 to 03:00.
		{"spring, inside", []config.Freeze{berlin}, "2026-03-28T21:00:00Z", "night", "2026-03-29T01:00:00Z"},
		{"spring, just before a skipped end", []config.Freeze{berlin}, "2026-03-29T00:59:59Z", "night", "2026-03-29T01:00:00Z"},
		{"spring, a skipped end is over", []config.Freeze{berlin}, "2026-03-29T01:00:00Z", "", ""},
		{"spring, a skipped beginning", []config.Freeze{morning}, "2026-03-29T01:00:00Z", "morning", "2026-03-29T04:00:00Z"},
		{"spring, before a skipped beginning", []config.Freeze{morning}, "2026-03-29T00:59:59Z", "", ""},
		{"spring, both adjoin", []config.Freeze{berlin, morning}, "2026-03-28T22:00:00Z", "night", "2026-03-29T04:00:00Z"},
		{"the week after", []config.Freeze{berlin}, "2026-04-04T19:59:59Z", "", ""},
		{"the week after, begun", []config.Freeze{berlin}, "2026-04-04T20:00:00Z", "night", "2026-04-05T00:30:00Z"},
		// 2026-10-25: at 01:00 UTC they go from 03:00 back to 02:00, so 02:30 is shown twice.
		{"autumn, an end that is there twice", []config.Freeze{berlin}, "2026-10-25T00:45:00Z", "night", "2026-10-25T01:30:00Z"},
		{"autumn, over with the second", []config.Freeze{berlin}, "2026-10-25T01:30:00Z", "", ""},
		{"autumn, begins with the first", []config.Freeze{morning}, "2026-10-25T00:30:00Z", "morning", "2026-10-25T05:00:00Z"},
		{"autumn, before the first", []config.Freeze{morning}, "2026-10-25T00:29:59Z", "", ""},
		{"autumn, both overlap", []config.Freeze{berlin, morning}, "2026-10-25T01:00:00Z", "morning", "2026-10-25T05:00:00Z"},
		// 2026-09-06: at midnight clocks in Santiago go from 00:00 to 01:00.
		{"midnight is skipped", []config.Freeze{weekly("sunday", "sun 00:00", "mon 00:00", "America/Santiago")}, "2026-09-06T04:00:00Z", "sunday", "2026-09-07T03:00:00Z"},
		{"before the midnight that is skipped", []config.Freeze{weekly("sunday", "sun 00:00", "mon 00:00", "America/Santiago")}, "2026-09-06T03:59:59Z", "", ""},

		{"names what ends last", []config.Freeze{weekend, once("audit", "2026-11-21T00:00:00Z", "2026-11-21T10:00:00Z")}, "2026-11-21T05:00:00Z", "weekend", "2026-11-23T08:00:00Z"},
		{"a chain over both sorts", []config.Freeze{
			weekend, once("audit", "2026-11-23T08:00:00Z", "2026-11-27T18:00:00Z"),
		}, "2026-11-21T05:00:00Z", "weekend", "2026-11-30T08:00:00Z"},
		{"a gap ends the chain", []config.Freeze{
			weekend, once("audit", "2026-11-23T08:00:01Z", "2026-11-27T18:00:00Z"),
		}, "2026-11-21T05:00:00Z", "weekend", "2026-11-23T08:00:00Z"},
		{"what cannot be read freezes nothing", []config.Freeze{weekly("x", "someday", "mon 08:00", "")}, "2026-11-21T12:00:00Z", "", ""},
		{"a zone that nobody knows is UTC", []config.Freeze{weekly("x", "sat 00:00", "sun 00:00", "Mars/Olympus")}, "2026-11-21T12:00:00Z", "x", "2026-11-22T00:00:00Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env := config.Env{Freezes: tt.freezes}
			at := moment(t, tt.at)
			f, until, frozen := env.Frozen(at)
			if frozen != (tt.by != "") || f.Name != tt.by {
				t.Fatalf("want frozen by %q, got %v by %q until %s", tt.by, frozen, f.Name, until)
			}
			thaw := at
			if tt.by != "" {
				thaw = moment(t, tt.until)
				if !until.Equal(thaw) {
					t.Errorf("want until %s, got %s", thaw, until)
				}
			}
			if got := env.NextThaw(at); !got.Equal(thaw) {
				t.Errorf("want the next thaw at %s, got %s", thaw, got)
			}
		})
	}
}

func moment(t testing.TB, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// Minute by minute over a year, the answer is what clocks on the wall say.
func TestFrozenIsWhatClocksSay(t *testing.T) {
	for _, zone := range []string{"UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"} {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		env := config.Env{Freezes: []config.Freeze{weekly("weekend", "fri 17:00", "mon 08:00", zone)}}
		end := moment(t, "2027-01-01T00:00:00Z")
		for at := moment(t, "2026-01-01T00:00:00Z"); at.Before(end); at = at.Add(37 * time.Minute) {
			local := at.In(loc)
			clock := local.Format("15:04")
			want := false
			switch local.Weekday() {
			case time.Friday:
				want = clock >= "17:00"
			case time.Saturday, time.Sunday:
				want = true
			case time.Monday:
				want = clock < "08:00"
			default:
			}
			_, until, frozen := env.Frozen(at)
			if frozen != want {
				t.Fatalf("%s: want frozen %v at %s, got %v", zone, want, local, frozen)
			}
			if frozen && until.In(loc).Format("Mon 15:04") != "Mon 08:00" {
				t.Fatalf("%s: at %s: want it over on Monday at eight, got %s", zone, local, until.In(loc))
			}
		}
	}
}

func TestCheckFreezes(t *testing.T) {
	good := once("year-end", "2026-12-20T00:00:00Z", "2027-01-02T00:00:00Z")
	many := make([]config.Freeze, config.MaxFreezes+1)
	tests := []struct {
		name    string
		freezes []config.Freeze
		want    []string // what the problems begin with
	}{
		{"none", nil, nil},
		{"both sorts", []config.Freeze{good, weekly("weekend", "Fri 17:00", "MON 08:00", "Asia/Shanghai")}, nil},
		{"too many", many, []string{"freezes: there are 33"}},
		{"a name twice", []config.Freeze{good, good}, []string{`freezes[1].name: "year-end" is the name`}},
		{"no name", []config.Freeze{once("", "2026-12-20T00:00:00Z", "2027-01-02T00:00:00Z")}, []string{"freezes[0].name"}},
		{"a bad name", []config.Freeze{once("Year end", "2026-12-20T00:00:00Z", "2027-01-02T00:00:00Z")}, []string{"freezes[0].name"}},
		{"never", []config.Freeze{{Name: "x"}}, []string{"freezes[0].from: it does not say when"}},
		{"no end", []config.Freeze{once("x", "2026-12-20T00:00:00Z", "")}, []string{"freezes[0].to: it is missing"}},
		{"no beginning", []config.Freeze{once("x", "", "2026-12-20T00:00:00Z")}, []string{"freezes[0].from: it is missing"}},
		{"ends before it begins", []config.Freeze{once("x", "2027-01-02T00:00:00Z", "2026-12-20T00:00:00Z")}, []string{"freezes[0].to: 2026"}},
		{"ends when it begins", []config.Freeze{once("x", "2027-01-02T00:00:00Z", "2027-01-02T00:00:00Z")}, []string{"freezes[0].to: 2027"}},
		{"a year that JSON cannot write", []config.Freeze{once("x", "2027-01-02T00:00:00Z", "9999-12-31T23:59:59-05:00")}, []string{"freezes[0].to: the year 10000"}},
		{"both at once", []config.Freeze{{Name: "x", From: good.From, To: good.To, Weekly: &config.Weekly{From: "fri 17:00", To: "mon 08:00"}}}, []string{"freezes[0].weekly: give either"}},
		{"an unknown day", []config.Freeze{weekly("x", "friday 17:00", "mon 08:00", "")}, []string{`freezes[0].weekly.from: "friday 17:00"`}},
		{"an hour that is none", []config.Freeze{weekly("x", "fri 17:00", "sun 24:00", "")}, []string{`freezes[0].weekly.to: "sun 24:00"`}},
		{"a sign", []config.Freeze{weekly("x", "fri +7:00", "mon 08:00", "")}, []string{"freezes[0].weekly.from"}},
		{"nothing, or all the time", []config.Freeze{weekly("x", "fri 17:00", "FRI 17:00", "")}, []string{"freezes[0].weekly.to: it begins and ends"}},
		{"an unknown zone", []config.Freeze{weekly("x", "fri 17:00", "mon 08:00", "Asia/Atlantis")}, []string{`freezes[0].weekly.zone: "Asia/Atlantis"`}},
		{"the zone of this machine", []config.Freeze{weekly("x", "fri 17:00", "mon 08:00", "Local")}, []string{"freezes[0].weekly.zone"}},
		{"a zone that is a file", []config.Freeze{weekly("x", "fri 17:00", "mon 08:00", "../../etc/passwd")}, []string{"freezes[0].weekly.zone"}},
		{"a long reason", []config.Freeze{{Name: "x", From: good.From, To: good.To, Reason: strings.Repeat("x", 1001)}}, []string{"freezes[0].reason"}},
		{"a reason of two lines", []config.Freeze{{Name: "x", From: good.From, To: good.To, Reason: "a\nb"}}, []string{"freezes[0].reason"}},
		{"a reason in any language", []config.Freeze{{Name: "x", From: good.From, To: good.To, Reason: "双十一"}}, nil},
		{"together all the time", []config.Freeze{
			weekly("a", "mon 08:00", "fri 17:00", ""), weekly("b", "fri 12:00", "mon 08:00", ""),
		}, []string{"freezes: together"}},
		{"all the time in winter alone", []config.Freeze{
			weekly("a", "mon 08:00", "fri 17:00", "Europe/Berlin"), weekly("b", "fri 16:00", "mon 07:00", "UTC"),
		}, []string{"freezes: together"}},
		{"all but an hour", []config.Freeze{
			weekly("a", "mon 08:00", "fri 17:00", ""), weekly("b", "fri 18:00", "mon 08:00", ""),
		}, nil},
		{"every problem at once", []config.Freeze{
			{Name: "-", Reason: "\x00"}, weekly("-", "x", "y", "z"),
		}, []string{"freezes[0].name", "freezes[0].reason", "freezes[0].from", `freezes[1].name: "-" is the name`, "freezes[1].name", "freezes[1].weekly.from"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			problems := config.CheckFreezes(tt.freezes)
			got := make([]string, len(problems))
			for i, p := range problems {
				got[i] = p.Message
				if i < len(tt.want) && strings.HasPrefix(p.Message, tt.want[i]) {
					got[i] = tt.want[i]
				}
			}
			if diff := cmp.Diff(slices.Clone(tt.want), got, cmp.Comparer(func(a, b []string) bool { return slices.Equal(a, b) })); diff != "" {
				t.Errorf("problems (want, got):\n%s", diff)
			}
			err := config.ValidateFreezes("acme/shop/prod", tt.freezes)
			if (err != nil) != (len(tt.want) > 0) {
				t.Errorf("want an error as there are problems, got %v", err)
			}
			if err != nil && (config.KindOf(err) != config.Invalid || len(config.AsError(err).Problems) != len(problems)) {
				t.Errorf("want it Invalid with all problems, got %v", err)
			}
		})
	}
}

func TestParseWeekly(t *testing.T) {
	want := config.Weekly{From: "fri 17:00", To: "mon 08:00", Zone: "Asia/Shanghai"}
	for _, span := range []string{"fri 17:00-mon 08:00", " fri 17:00 - mon 08:00 "} {
		got, err := config.ParseWeekly(span, "Asia/Shanghai")
		if err != nil || got != want {
			t.Errorf("%q: want %v, got %v, %v", span, want, got, err)
		}
	}
	for _, span := range []string{"", "-", "fri 17:00", "fri 17:00-fri 17:00", "fri-mon", "fri 17:00-mon 08:00-tue 09:00"} {
		if got, err := config.ParseWeekly(span, ""); config.KindOf(err) != config.Invalid || err == nil {
			t.Errorf("%q: want it refused, got %v, %v", span, got, err)
		}
	}
}

// However hostile the list, whoever asks gets an answer that makes sense.
func FuzzFreezes(f *testing.F) {
	f.Add([]byte(`[{"name":"weekend","weekly":{"from":"fri 17:00","to":"mon 08:00","zone":"Europe/Berlin"}}]`), int64(1_774_746_000))
	f.Add([]byte(`[{"name":"x","from":"2026-12-20T00:00:00Z","to":"2027-01-02T00:00:00Z","reason":"year end"}]`), int64(1_798_000_000))
	f.Add([]byte(`[{"name":"a","weekly":{"from":"mon 00:00","to":"thu 00:00"}},{"name":"b","weekly":{"from":"thu 00:00","to":"mon 00:00"}}]`), int64(0))
	f.Add([]byte(`[{"name":"a","weekly":{"from":"sun 02:30","to":"sun 02:31","zone":"Pacific/Apia"}}]`), int64(-62_135_596_800))
	f.Fuzz(func(t *testing.T, b []byte, unix int64) {
		var freezes []config.Freeze
		if json.Unmarshal(b, &freezes) != nil || len(freezes) > config.MaxFreezes {
			return
		}
		at := time.Unix(unix%(1<<38), 0)
		env := config.Env{Freezes: freezes}
		freeze, until, frozen := env.Frozen(at)
		if frozen && !until.After(at) || !frozen && !until.IsZero() {
			t.Fatalf("frozen %v at %s until %s", frozen, at, until)
		}
		if config.ValidateFreezes("", freezes) != nil {
			return
		}
		if _, again, still := env.Frozen(until); frozen && still {
			t.Fatalf("%q thaws at %s and is frozen until %s", freeze.Name, until, again)
		}
		if out, err := json.Marshal(freezes); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
	})
}
