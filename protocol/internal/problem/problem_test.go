package problem

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

func TestEveryKindOfErrorHasAnAnswer(t *testing.T) {
	for _, kind := range config.ErrorKinds() {
		got, found := kindStatuses[kind]
		if !found || got.status < 400 || got.status > 599 || got.title == "" {
			t.Errorf("%s: want a status and a title, got %+v", kind, got)
		}
		p := New(config.Errorf(kind, "op", "path", "why"), "id")
		if p.Status != got.status || p.Code != kind.String() || p.Type != TypePrefix+kind.String() || p.RequestID != "id" {
			t.Errorf("%s: got %+v", kind, p)
		}
	}
	if want := len(config.ErrorKinds()); len(kindStatuses) != want {
		t.Errorf("want %d lines, got %d", want, len(kindStatuses))
	}
}

func TestStatus(t *testing.T) {
	content := &config.Error{Kind: config.Invalid, Problems: []config.Problem{{Line: 1}}}
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"a request":          {config.Errorf(config.Invalid, "", "", "x"), http.StatusBadRequest},
		"a malformed one":    {Malformed("body.a", "x"), http.StatusBadRequest},
		"wrapped":            {fmt.Errorf("outer: %w", Malformed("body.a", "x")), http.StatusBadRequest},
		"content":            {content, http.StatusUnprocessableEntity},
		"nothing of our own": {errors.New("x"), http.StatusInternalServerError},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Status(c.err); got != c.want {
				t.Errorf("want %d, got %d", c.want, got)
			}
		})
	}
}

func TestTheCauseOfAnInternalErrorStaysInside(t *testing.T) {
	if got := New(errors.New("secret"), "").Detail; got == "secret" || got == "" {
		t.Errorf("want another text, got %q", got)
	}
}

func TestRetryAfter(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want time.Duration
	}{
		"throttled": {auth.Throttled("authenticate", "too many attempts", 90*time.Second), 90 * time.Second},
		"invalid":   {config.Errorf(config.Invalid, "", "", "x"), 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := RetryAfter(c.err); got != c.want {
				t.Errorf("want %s, got %s", c.want, got)
			}
		})
	}
}

func TestNotAllAreToldToComeBackAtOnce(t *testing.T) {
	told := map[time.Duration]int{}
	for range 200 {
		told[RetryAfter(config.Errorf(config.Unavailable, "", "", "x"))]++
	}
	for wait := range told {
		if wait < time.Second || wait > spread*time.Second || wait%time.Second != 0 {
			t.Errorf("want whole seconds, from 1 to %d, got %s", spread, wait)
		}
	}
	if len(told) < 2 {
		t.Errorf("want different times, got %v", told)
	}
}
