package etcd

import "github.com/setpointhq/setpoint/store"

// KeyPrefix implements store.Prefixed: it is the setting prefix.
func (s *Store) KeyPrefix() string { return s.settings.Prefix }

var _ store.Prefixed = (*Store)(nil)
