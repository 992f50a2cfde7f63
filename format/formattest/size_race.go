//go:build race

package formattest

// size of the hostile contents in bytes: the race detector makes parsers some
// twenty times slower, and what is quadratic shows at this size as well.
const size = 1 << 16
