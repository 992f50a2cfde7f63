package protocoltest

import "github.com/setpointhq/setpoint/config"

func shutdownScenarios() []scenario {
	return []scenario{
		{"watches are told to go elsewhere", []Part{PartWatches}, shutdownWatches},
	}
}

// shutdownWatches ends the node's protocol; it is the last scenario of its node.
func shutdownWatches(s *stage) {
	app, _ := s.application(config.Client{})
	s.publish("a.json", "1")
	r := WatchRequest{Patterns: []string{s.prod.String()}}
	w := s.watch(app, r)
	w.current()
	late := s.watch(app, r)
	late.current()
	r.After = w.last.Revision
	s.publish("a.json", "2")
	w.until("a.json", 2)
	s.node.drain()
	s.refused("the watch", config.Unavailable, w.ends())
	s.refused("the watch of a client that had not read all", config.Unavailable, late.ends())
	s.refused("a new watch", config.Unavailable, s.watchError(app, r))
}
