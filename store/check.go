package store

import "github.com/setpointhq/setpoint/config"

// CheckTxn refuses a Txn that no driver may accept: empty, or writing one key twice.
func CheckTxn(txn Txn) error {
	if len(txn.Writes) == 0 {
		return config.Errorf(config.Invalid, "commit", "", "a transaction needs at least one write")
	}
	seen := make(map[string]struct{}, len(txn.Writes))
	for _, w := range txn.Writes {
		if w.Key == "" {
			return config.Errorf(config.Invalid, "commit", "", "a write has an empty key")
		}
		if _, twice := seen[w.Key]; twice {
			return config.Errorf(config.Invalid, "commit", w.Key, "a transaction writes this key twice")
		}
		seen[w.Key] = struct{}{}
	}
	return nil
}
