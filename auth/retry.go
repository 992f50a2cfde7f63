package auth

import (
	"fmt"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// RetryAfter is the cause of a Throttled error that knows when to try again, so
// that a protocol can say it in its own way. Find it with errors.As.
type RetryAfter struct {
	Reason string
	Wait   time.Duration // whole seconds, at least one
}

// Error says why, and how long to wait.
func (r *RetryAfter) Error() string {
	return fmt.Sprintf("%s; try again in %s", r.Reason, r.Wait)
}

// Throttled makes the error of a caller that must wait; the time is rounded up
// to whole seconds.
func Throttled(op, reason string, wait time.Duration) error {
	whole := max(time.Second, (wait + time.Second - 1).Truncate(time.Second))
	return &config.Error{Op: op, Kind: config.Throttled, Err: &RetryAfter{Reason: reason, Wait: whole}}
}
