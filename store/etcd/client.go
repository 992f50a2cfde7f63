package etcd

import clientv3 "go.etcd.io/etcd/client/v3"

// Client returns the store's own client, past everything that the store adds:
// for measuring what the engine does alone. It ends with the store.
func (s *Store) Client() *clientv3.Client { return s.client }
