package etcd

import "go.etcd.io/etcd/server/v3/etcdserver/api/v3client"

// Sibling returns another store on the same engine, with a prefix of its own.
// Its Close leaves the engine alone.
func (s *Store) Sibling(prefix string) *Store {
	c := s.settings
	c.Prefix = prefix
	sibling := newStore(s.life, c, v3client.New(s.engine.server.Server), s.engine.link(), s.log)
	sibling.engine = s.engine
	return sibling
}
