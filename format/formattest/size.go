//go:build !race

package formattest

// size of the hostile contents in bytes: the default limit of a config.
const size = 1 << 20
