package bench

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/setpointhq/setpoint/client"
)

// ClientsCommand is the first argument of a process that is to be many
// subscribers.
const ClientsCommand = "clients"

// address is how to reach a server, in words.
type address struct {
	Endpoint string     `json:"endpoint"`
	TLS      client.TLS `json:"tls"`
}

// address is how another process reaches the floor, by its certificate.
func (l listening) address() (address, error) {
	block, _ := pem.Decode([]byte(l.CA))
	if block == nil {
		return address{}, errors.New("the floor showed no certificate")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return address{}, err
	}
	return address{"https://" + l.Addr, client.TLS{Fingerprint: client.Fingerprint(certificate)}}, nil
}

// crowdSetup says who the subscribers of a crowd are.
type crowdSetup struct {
	To       address  `json:"to"`
	Protocol string   `json:"protocol"`
	Request  [][]byte `json:"request"`
	N        int      `json:"n"`
	// Source is the first of the addresses of loopback that they connect from;
	// 0 for any.
	Source int `json:"source"`
}

// crowdOrder is what a crowd is told, one thing at a time.
type crowdOrder struct {
	Connect bool   `json:"connect,omitempty"`
	Expect  string `json:"expect,omitempty"` // an event with this mark
	// Since asks when each had the event, counted from a time in Unix nanoseconds.
	Since int64 `json:"since,omitempty"`
}

// crowdReply answers an order.
type crowdReply struct {
	Err  string          `json:"err,omitempty"`
	Took []time.Duration `json:"took,omitempty"` // by subscriber
}

// crowd is subscribers in a process of their own.
type crowd struct {
	*process
	connecting time.Duration
}

// connectPatience is how long thousands of handshakes may take.
const connectPatience = 10 * time.Minute

func (r *run) startCrowd(ctx context.Context, setup crowdSetup) (*crowd, error) {
	p, err := r.start(ctx, []string{ClientsCommand}, setup, &crowdReply{})
	if err != nil {
		return nil, err
	}
	return &crowd{process: p}, nil
}

// connect has all subscribe, and returns when each is current.
func (c *crowd) connect() error {
	start := time.Now()
	_, err := c.tell(crowdOrder{Connect: true}, connectPatience)
	c.connecting = time.Since(start)
	return err
}

// send is audience.send for those in another process.
func (c *crowd) send(_ context.Context, mark string, publish func() error) ([]time.Duration, error) {
	if _, err := c.tell(crowdOrder{Expect: mark}, patience); err != nil {
		return nil, err
	}
	start := time.Now()
	if err := publish(); err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	reply, err := c.tell(crowdOrder{Since: start.UnixNano()}, wavePatience+patience)
	return reply.Took, err
}

func (c *crowd) tell(o crowdOrder, most time.Duration) (reply crowdReply, err error) {
	if err := c.ask(o, &reply, most); err != nil {
		return reply, fmt.Errorf("the subscribers' process: %w", err)
	}
	if reply.Err != "" {
		return reply, errors.New(reply.Err)
	}
	return reply, nil
}

// Clients is a process that is many subscribers, and does as it is told until in
// ends.
func Clients(ctx context.Context, in io.Reader, out io.Writer) error {
	t := newTalk(in, out)
	var setup crowdSetup
	if err := t.hear(&setup); err != nil {
		return err
	}
	if err := needFiles(setup.N + otherFiles); err != nil {
		return err
	}
	s, err := serverOf(client.Options{Endpoints: []string{setup.To.Endpoint}, TLS: setup.To.TLS})
	if err != nil {
		return err
	}
	if err := t.say(crowdReply{}); err != nil {
		return err
	}
	m := members{setup: setup, server: s}
	defer m.leave()
	for {
		var order crowdOrder
		switch err := t.hear(&order); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		reply, err := m.obey(ctx, order)
		if err != nil {
			reply.Err = err.Error()
		}
		if err := t.say(reply); err != nil {
			return err
		}
	}
}

// members are the subscribers in this process.
type members struct {
	setup  crowdSetup
	server server
	all    *audience
	wave   *wave
}

func (m *members) leave() {
	if m.all != nil {
		m.all.close()
	}
}

func (m *members) obey(ctx context.Context, o crowdOrder) (reply crowdReply, err error) {
	switch {
	case o.Connect && m.all == nil:
		g := alike(m.setup.N, speechOf(m.setup.Protocol), m.setup.Request)
		g.from = sourcesFor(m.server.addr, m.setup.Source)
		m.all, err = gather(ctx, m.server, g)
	case m.all == nil:
		err = errors.New("nobody has subscribed yet")
	case o.Expect != "":
		m.wave = m.all.expect(o.Expect)
	case m.wave != nil:
		// The clock of the wall is the one that both processes read.
		earlier := m.wave.start.UnixNano() - o.Since
		var took []time.Duration
		took, err = m.all.wait(ctx, m.wave)
		for _, d := range took {
			reply.Took = append(reply.Took, d+time.Duration(earlier))
		}
	default:
		err = errors.New("no event is expected")
	}
	return reply, err
}

// perSource is how many connections come from one address: a good part fewer than
// systems have ports for, 28,232 as Linux comes, since those of a run before keep
// theirs for a while.
const perSource = 10_000

// sourcesFor spreads connections over as many addresses of loopback as it takes
// for the ports to suffice, from the one that is given on. Elsewhere there is only
// the machine's own address.
func sourcesFor(addr string, first int) func(i int) net.Addr {
	host, _, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip.To4() == nil || !ip.IsLoopback()) {
		return nil
	}
	return func(i int) net.Addr {
		from := first + i/perSource
		if from == 0 {
			return nil // systems other than Linux have but one, which they choose
		}
		return &net.TCPAddr{IP: net.IPv4(127, 0, byte(from>>8), byte(from))}
	}
}
