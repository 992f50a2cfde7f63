package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// publishedBeside is how many publishes come each second beside watchers whom they
// do not concern.
const publishedBeside = 2000

// beside measures what subscribers cost whom they do not concern: the same reads,
// and the same publishes of other configs, on a server that many watch and on one
// that nobody does.
func (r *run) beside(ctx context.Context) (_ []Result, err error) {
	watched, err := r.openBeside(ctx, "beside-watched")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, watched.close()) }()
	alone, err := r.openBeside(ctx, "beside-alone")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, alone.close()) }()
	if err := watched.gather(ctx); err != nil {
		return nil, err
	}
	sides := []*besides{watched, alone}
	compare := func(title string, of func(*besides) round) (Result, error) {
		c := contest{scenario: scenarioBeside, title: title}
		for i, s := range sides {
			name := []string{fmt.Sprintf("%d watch over %s", r.Subscribers, watched.voice.title), "nobody watches"}[i]
			c.subjects = append(c.subjects, subject{name: name, pids: s.run.target.pids, round: of(s)})
		}
		return watched.run.play(ctx, c)
	}
	reads, err := compare(fmt.Sprintf("GET of one config, %d connections, beside %d publishes/s of others in an open loop", r.Connections, publishedBeside),
		func(s *besides) round { return s.published.beside(s.reads) })
	if err != nil {
		return nil, err
	}
	reads.Notes = []string{fmt.Sprintf("the publishes beside it: where many watch %s; where nobody does %s", &watched.published, &alone.published)}
	paced, err := compare(fmt.Sprintf("%d publishes/s of other configs in an open loop, %d writers; times count from when each was due", publishedBeside, r.Writers),
		func(s *besides) round { return s.published.other })
	if err != nil {
		return nil, err
	}
	most, err := compare(fmt.Sprintf("as many publishes of other configs as %d writers can make", r.Writers),
		func(s *besides) round { return s.writers.round(r.Writers) })
	if err != nil {
		return nil, err
	}
	note, err := watched.check(ctx)
	most.Notes = []string{note}
	return []Result{reads, paced, most}, err
}

// besides is a server with others who read and publish.
type besides struct {
	run       *run
	voice     voice
	readers   connections
	reads     round
	writers   *writers
	published accompanied
	all       *audience   // nil where nobody watches
	watched   config.Path // what they watch
}

// openBeside starts a server with those who read and publish.
func (r *run) openBeside(ctx context.Context, name string) (_ *besides, err error) {
	t, err := r.openOwn(ctx, name)
	if err != nil {
		return nil, err
	}
	s := &besides{run: &run{Options: r.Options, dir: r.dir, target: t}, voice: t.over(r.Protocol)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	paths, err := t.seed(ctx, scenarioBeside+"-read", 1)
	if err != nil {
		return nil, err
	}
	if s.readers, err = t.server.dialMany(ctx, r.Connections); err != nil {
		return nil, err
	}
	s.reads = s.readers.repeat(t.server.request(http.MethodGet, dataPath(paths[0]), t.authorization, "", nil), http.StatusOK)
	if s.writers, err = s.run.openWriters(ctx, scenarioBeside+"-published", r.Writers); err != nil {
		return nil, err
	}
	var operations []func() error
	for _, w := range s.writers.all {
		operations = append(operations, w.publish)
	}
	s.published.other = s.writers.conns.paced(operations, publishedBeside)
	return s, nil
}

// gather connects the watchers, of a config of their own.
func (s *besides) gather(ctx context.Context) error {
	t := s.run.target
	paths, err := t.seed(ctx, scenarioBeside+"-watched", 1)
	if err != nil {
		return err
	}
	s.watched = paths[0]
	request := s.voice.speech.subscription(s.voice.server, t.authorization, paths[0])
	s.all, _, err = s.run.gatherAround(ctx, s.voice.server, t.measured(), alike(s.run.Subscribers, s.voice.speech, request))
	return err
}

// check sees whether all who watch still do.
func (s *besides) check(ctx context.Context) (note string, err error) {
	conn, err := s.run.target.server.dial(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	w, err := s.run.target.writer(conn, s.watched)
	if err != nil {
		return "", err
	}
	start := time.Now()
	_, err = s.all.send(ctx, mark(w.next+1), conn.patiently(w.publish))
	return fmt.Sprintf("then all %d were sent something, and had it after %.1f ms", s.run.Subscribers, milliseconds(time.Since(start))), err
}

func (s *besides) close() error {
	if s.all != nil {
		s.all.close()
	}
	s.readers.close()
	if s.writers != nil {
		s.writers.conns.close()
	}
	return s.run.target.close()
}
