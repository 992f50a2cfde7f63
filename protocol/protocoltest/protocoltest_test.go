package protocoltest

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestReference holds the suite against what it measures by.
func TestReference(t *testing.T) { Run(t, Reference()) }
