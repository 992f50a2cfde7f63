//go:build !linux

package bench

// usageOf knows nothing where there is no /proc.
func usageOf(int) (usage, error) { return usage{}, nil }

// describeSystem knows nothing where there is no /proc.
func describeSystem() (processor string, memory int64) { return "", 0 }

// loadAverage knows nothing where there is no /proc.
func loadAverage() float64 { return 0 }

// socketMemory knows nothing where there is no /proc.
func socketMemory() int64 { return 0 }
