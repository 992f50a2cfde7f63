//go:build !unix

package bench

// needFiles has nothing to raise where open files are not limited.
func needFiles(int) error { return nil }

// fileLimit is how many files this process may have open.
func fileLimit() (n uint64, known bool) { return 0, false }
