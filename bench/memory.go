package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
)

// held is what this process holds: reachable memory and stacks, without garbage.
func held() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// held is what the server holds, as its admin port tells after a collection of
// garbage; 0 where that port is not known.
func (t *target) held(ctx context.Context) (int64, error) {
	if t.admin == "" {
		return 0, nil
	}
	if err := t.ask(ctx, "/debug/pprof/heap?gc=1", io.Discard); err != nil {
		return 0, err
	}
	var metrics strings.Builder
	if err := t.ask(ctx, "/metrics", &metrics); err != nil {
		return 0, err
	}
	var sum float64
	for _, name := range []string{"go_memstats_heap_alloc_bytes", "go_memstats_stack_inuse_bytes"} {
		value, err := metric(metrics.String(), name)
		if err != nil {
			return 0, err
		}
		sum += value
	}
	return int64(sum), nil
}

// metric finds a value among metrics.
func metric(metrics, name string) (float64, error) {
	lines := bufio.NewScanner(strings.NewReader(metrics))
	for lines.Scan() {
		if value, found := strings.CutPrefix(lines.Text(), name+" "); found {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("the server's metrics have no %s", name)
}

// ask asks the admin port.
func (t *target) ask(ctx context.Context, path string, into io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.admin+path, nil)
	if err != nil {
		return err
	}
	var transport http.Transport
	defer transport.CloseIdleConnections()
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("the admin port: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the admin port answered %s to %s", answer.Status, path)
	}
	_, err = io.Copy(into, answer.Body)
	return err
}
