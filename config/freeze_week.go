package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Weekly is a stretch of every week: from "fri 17:00" to "mon 08:00" as clocks
// in Zone show it, an IANA name such as "Asia/Shanghai"; empty means UTC.
//
// Where clocks are put forward, a time that they skip is the moment of the
// change. Where they are put back, a stretch begins when a time is shown for the
// first time, and ends when it is for the second.
type Weekly struct {
	From string `json:"from"`
	To   string `json:"to"`
	Zone string `json:"zone,omitempty"`
}

// ParseWeekly reads "fri 17:00-mon 08:00" and the name of a zone.
func ParseWeekly(span, zone string) (Weekly, error) {
	from, to, ok := strings.Cut(span, "-")
	if !ok {
		return Weekly{}, Errorf(Invalid, "", "", "%q is no stretch of a week; write it as \"fri 17:00-mon 08:00\"", clip(span))
	}
	w := Weekly{From: strings.TrimSpace(from), To: strings.TrimSpace(to), Zone: zone}
	if _, err := w.read(); err != nil {
		return Weekly{}, Errorf(Invalid, "", "", "%w", err)
	}
	return w, nil
}

// String writes the stretch with its zone.
func (w Weekly) String() string {
	zone := w.Zone
	if zone == "" {
		zone = "UTC"
	}
	return w.From + "-" + w.To + " " + zone
}

const (
	minutesOfDay  = 24 * 60
	minutesOfWeek = 7 * minutesOfDay
)

// week is a Weekly that was read: minutes since the midnight that Sunday begins
// with. to is beyond the week's end if the stretch is.
type week struct {
	from, to int
	zone     *time.Location
}

// read takes the texts apart. Of a zone that is not known it gives both UTC and
// the error.
func (w *Weekly) read() (*week, error) {
	from, err := parseMoment(w.From)
	if err != nil {
		return nil, fmt.Errorf("from: %w", err)
	}
	to, err := parseMoment(w.To)
	if err != nil {
		return nil, fmt.Errorf("to: %w", err)
	}
	if from == to {
		return nil, fmt.Errorf("to: it begins and ends at %s, which would be nothing or the whole week", clip(w.To))
	}
	if to < from {
		to += minutesOfWeek
	}
	zone, err := loadZone(w.Zone)
	return &week{from: from, to: to, zone: zone}, err
}

// maxZone bounds the name of a zone, in bytes; the longest that there is has 32.
const maxZone = 64

// loadZone finds a zone by its IANA name. "Local" would be another one on every
// node.
func loadZone(name string) (*time.Location, error) {
	if len(name) <= maxZone && name != "Local" {
		if zone, err := time.LoadLocation(name); err == nil {
			return zone, nil
		}
	}
	return time.UTC, fmt.Errorf("zone: %q is no time zone; use an IANA name such as Asia/Shanghai or Europe/Berlin", clip(name))
}

// parseMoment reads "fri 17:00" as minutes of the week.
func parseMoment(s string) (int, error) {
	day, clock, _ := strings.Cut(s, " ")
	for weekday := time.Sunday; weekday <= time.Saturday; weekday++ {
		minutes, ok := parseClock(clock)
		if ok && strings.EqualFold(day, weekday.String()[:len("sun")]) {
			return int(weekday)*minutesOfDay + minutes, nil
		}
	}
	return 0, fmt.Errorf("%q is no day and time; write \"fri 17:00\", with one of sun, mon, tue, wed, thu, fri, sat and 00:00 to 23:59", clip(s))
}

// parseClock reads "17:00" as minutes of the day.
func parseClock(s string) (int, bool) {
	if len(s) != len("17:00") || s[2] != ':' {
		return 0, false
	}
	hours, errHours := strconv.ParseUint(s[:2], 10, 8)
	minutes, errMinutes := strconv.ParseUint(s[3:], 10, 8)
	if errHours != nil || errMinutes != nil || hours > 23 || minutes > 59 {
		return 0, false
	}
	return int(hours*60 + minutes), true
}

// end returns when the stretch ends that lasts at a time. It may be this week's
// or have begun in the one before; where clocks change at midnight, which week
// it is is not as clear, so the next one is asked as well.
func (w *week) end(at time.Time) (time.Time, bool) {
	local := at.In(w.zone)
	year, month, day := local.Date()
	sunday := day - int(local.Weekday())
	for _, first := range [...]int{sunday - 7, sunday, sunday + 7} {
		start, end := w.moment(year, month, first, w.from, false), w.moment(year, month, first, w.to, true)
		if !at.Before(start) && at.Before(end) {
			return end, true
		}
	}
	return time.Time{}, false
}

// moment returns when clocks in the zone show a time that is given in minutes
// since the midnight of a day: when they do for the first time or, with last,
// for the last. A time that they skip is the moment at which they do.
func (w *week) moment(year int, month time.Month, day, minutes int, last bool) time.Time {
	wall := time.Date(year, month, day, 0, minutes, 0, 0, time.UTC)
	_, before := wall.Add(-24 * time.Hour).In(w.zone).Zone()
	_, after := wall.Add(24 * time.Hour).In(w.zone).Zone()
	first := wall.Add(-time.Duration(before) * time.Second)
	second := wall.Add(-time.Duration(after) * time.Second)
	switch firstShows, secondShows := w.shows(first, wall), w.shows(second, wall); {
	case firstShows && (!last || !secondShows):
		return first
	case secondShows:
		return second
	}
	// Reckoned from before the change, a time that is skipped lies behind it.
	if change, _ := first.In(w.zone).ZoneBounds(); !change.IsZero() {
		return change
	}
	return first
}

// shows reports whether clocks in the zone show at a moment what wall reads.
func (w *week) shows(at, wall time.Time) bool {
	_, offset := at.In(w.zone).Zone()
	return at.Add(time.Duration(offset) * time.Second).Equal(wall)
}
