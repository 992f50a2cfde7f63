//go:build !linux

package fault

import "testing"

func TestFaults(t *testing.T) {
	t.Skip("the fault tests need Linux: they cut networks by its namespaces")
}
