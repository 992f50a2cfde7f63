package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
)

// call is a gRPC call with one question and one answer, to be made again and again.
type call struct {
	path, authorization string
	message             []byte
	least               int // bytes that a good answer has
}

// caller makes the same call on many connections.
type caller struct {
	connections
	round round
}

// repeatCall opens n connections and makes a round of the same call on each.
func (s server) repeatCall(ctx context.Context, n int, one call) (*caller, error) {
	block := s.callBlock(one.path, one.authorization)
	c := &caller{connections: make(connections, n)}
	operations := make([]func() error, n)
	err := atOnce(ctx, n, func(ctx context.Context, i int) error {
		two, err := s.dial2(ctx, block)
		if err != nil {
			return err
		}
		body := len(two.frame)
		two.frame[flagsAt] &^= flagEndStream // the body does
		two.frame = appendFrame(two.frame, frameData, flagEndStream, 0, prefixedLength(one.message))
		c.connections[i], operations[i] = two.conn, func() error { return two.call(body, one.least) }
		return nil
	})
	if err != nil {
		c.close()
		return nil, err
	}
	c.round = c.connections.round(operations)
	return c, nil
}

// call sends the request once more, whose body is a frame that begins there, and
// takes in the answer. A call that fails has no message for an answer: its status
// need not be read.
func (c *conn2) call(body, least int) error {
	if err := c.nextStream(); err != nil {
		return err
	}
	binary.BigEndian.PutUint32(c.frame[body+streamAt:], c.stream)
	if _, err := c.Write(c.frame); err != nil {
		return err
	}
	for got := 0; ; {
		f, err := c.in.frame()
		if err != nil {
			return err
		}
		switch {
		case f.stream == 0:
			err = c.manage(f)
		case f.stream != c.stream: // what is left to say of a call before
		case f.kind == frameData:
			got += len(f.payload)
			err = c.took(len(f.payload))
		case f.kind == frameReset:
			err = errors.New("the server reset the stream")
		}
		if err != nil {
			return err
		}
		if f.stream == c.stream && (f.kind == frameHeaders || f.kind == frameData) && f.flags&flagEndStream != 0 {
			if got < lengthPrefix+least {
				return fmt.Errorf("the call was answered with %d bytes, want at least %d: it failed", got, lengthPrefix+least)
			}
			return nil
		}
	}
}
