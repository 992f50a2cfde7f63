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
		if w.Key == txn.Once && w.Delete {
			return config.Errorf(config.Invalid, "commit", w.Key, "the write that makes a transaction happen once must not delete")
		}
	}
	if _, written := seen[txn.Once]; txn.Once != "" && !written {
		return config.Errorf(config.Invalid, "commit", txn.Once, "the key that makes a transaction happen once must be one of its writes")
	}
	return nil
}

// CheckQuery refuses a Query that no driver may accept.
func CheckQuery(q Query) error {
	switch {
	case q.Key == "" && !q.Prefix:
		return config.Errorf(config.Invalid, "range", "", "the query names no key; an empty key is only possible with Prefix, which selects all keys")
	case q.Limit < 0:
		return config.Errorf(config.Invalid, "range", q.Key, "limit %d is negative; 0 means no limit", q.Limit)
	case q.Revision < 0:
		return config.Errorf(config.Invalid, "range", q.Key, "revision %d is negative; 0 means the present", q.Revision)
	}
	return nil
}
