package memory_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/setpointhq/setpoint/cache"
	"github.com/setpointhq/setpoint/cache/cachetest"
	"github.com/setpointhq/setpoint/cache/memory"
	"github.com/setpointhq/setpoint/plugin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCache(t *testing.T) {
	cachetest.Run(t, func(t *testing.T, budget int64) cache.Cache {
		var s memory.Settings
		s.Defaults()
		s.Budget = plugin.Size(budget)
		c, err := s.Open(t.Context(), cache.Env{})
		if err != nil {
			t.Fatal(err)
		}
		return c
	})
}

func TestSettings(t *testing.T) {
	var s memory.Settings
	s.Defaults()
	if err := s.Validate(); err != nil {
		t.Errorf("the defaults should be valid: %v", err)
	}
	s.Budget = 1
	if err := s.Validate(); err == nil {
		t.Error("a budget of one byte should be refused")
	}
}
