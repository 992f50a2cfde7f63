package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"
)

const (
	startPatience = time.Minute      // until a child is ready
	stopPatience  = 20 * time.Second // until a child has ended, before it is killed
	largestReply  = 8 << 20          // of one line that a floor says
)

// usage is what a process has taken up so far.
type usage struct {
	cpu time.Duration // user and system
	rss int64         // bytes resident now
}

// process is a child: a floor, or a server started to be measured. Parent and
// child speak in lines of JSON over its standard input and output; it ends when
// its input does.
type process struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
	mu    sync.Mutex // one exchange at a time
}

// startFloor starts the named floor, gives it its setup, and reads into ready
// what it says when it is.
func (o *Options) startFloor(ctx context.Context, name string, setup, ready any) (*process, error) {
	return o.start(ctx, []string{FloorCommand, name}, setup, ready)
}

// start starts a child of the command bench.
func (o *Options) start(ctx context.Context, args []string, setup, ready any) (*process, error) {
	cmd := o.Program(ctx, append([]string{"bench"}, args...)...)
	// Its end comes by its input; the kill is for one that does not listen.
	cmd.WaitDelay = stopPatience
	cmd.Stderr = o.Log
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", strings.Join(args, " "), err)
	}
	p := &process{cmd: cmd, in: in, lines: bufio.NewScanner(out)}
	p.lines.Buffer(nil, largestReply)
	if err := p.ask(setup, ready, startPatience); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", strings.Join(args, " "), err), p.stop())
	}
	return p, nil
}

// ask says one line and reads the answer, for at most so long: then the child
// is killed.
func (p *process) ask(question, answer any, most time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	line, err := json.Marshal(question)
	if err != nil {
		return err
	}
	late := time.AfterFunc(most, func() { _ = p.cmd.Process.Kill() }) // the read below fails then
	defer late.Stop()
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("it does not listen: %w", err)
	}
	if !p.lines.Scan() {
		return errors.Join(errors.New("it ended early; what it printed says why"), p.lines.Err())
	}
	return json.Unmarshal(p.lines.Bytes(), answer)
}

// stop ends the child and waits for it.
func (p *process) stop() error {
	err := p.in.Close()
	late := time.AfterFunc(stopPatience, func() { _ = p.cmd.Process.Kill() }) // Wait tells of it
	defer late.Stop()
	return errors.Join(err, p.cmd.Wait())
}

func (p *process) pids() []int { return []int{p.cmd.Process.Pid} }
