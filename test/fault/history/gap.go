package history

import (
	"slices"
	"time"
)

// Gap returns the longest time without an answer of OK to the calls that match,
// between two moments. The moments themselves count as answers.
func Gap(ops []Op, from, to time.Duration, match func(Op) bool) (longest time.Duration) {
	times := []time.Duration{from, to}
	for _, o := range ops {
		if o.Outcome == OK && o.Return > from && o.Return < to && match(o) {
			times = append(times, o.Return)
		}
	}
	slices.Sort(times)
	for i := 1; i < len(times); i++ {
		longest = max(longest, times[i]-times[i-1])
	}
	return longest
}
