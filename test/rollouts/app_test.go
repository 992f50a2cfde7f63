package rollouts

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/freeport"
	"github.com/setpointhq/setpoint/test/program"
)

// appVariable has the test binary be the application. It holds the address that
// it serves.
const appVariable = "ROLLOUTS_APP"

// limits is what the application is configured by.
type limits struct {
	N    int64  `json:"n"`
	Note string `json:"note"`
}

func (l *limits) validate() error {
	if l.N > 1000 {
		return fmt.Errorf("n is %d, and this program takes 1000 at most", l.N)
	}
	return nil
}

// answered is what an application says of itself.
type answered struct {
	PID       int
	N         int64  // of the limits in force
	Note      string // likewise
	Version   int64  // likewise
	Mark      int64  // the version of the mark in force
	FromCache bool
	Connected bool
}

// runApp is the application: an HTTP server that binds a struct, as users write
// it. What it is told to do stands in its environment.
func runApp() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := serveApp(ctx, log); err != nil {
		log.Error("the application ended", "error", err)
		return 1
	}
	return 0
}

func serveApp(ctx context.Context, log *slog.Logger) error {
	c, err := client.New(client.Options{
		Endpoints: []string{os.Getenv("SETPOINT_ENDPOINT")}, TLS: client.TLS{Fingerprint: os.Getenv("SETPOINT_FINGERPRINT")},
		Token: config.NewSecret(os.Getenv("SETPOINT_TOKEN")), Instance: config.Client{ID: os.Getenv("APP_ID")}, Log: log,
	})
	if err != nil {
		return err
	}
	defer c.Close()
	env := os.Getenv("APP_ENV")
	within, err := time.ParseDuration(cmp.Or(os.Getenv("APP_START_WITHIN"), "30s"))
	if err != nil {
		return err
	}
	set, err := c.Open(ctx, client.SetOptions{
		Patterns: []string{env}, CacheDir: os.Getenv("APP_CACHE"), CacheKey: config.NewSecret(os.Getenv("APP_CACHE_KEY")), StartWithin: within,
	})
	if err != nil {
		return err
	}
	defer set.Close()
	at, err := config.ParsePath(env + "/limits.json")
	if err != nil {
		return err
	}
	bound, err := client.Bind(set, at, client.BindOptions[limits]{Validate: (*limits).validate})
	if err != nil {
		return err
	}
	mark := at.Parent().Join("mark.json")
	return listen(ctx, func(w http.ResponseWriter, _ *http.Request) {
		state := set.State()
		value, marked := bound.In(state), int64(0)
		held, _ := state.Get(at)
		if m, ok := state.Get(mark); ok {
			marked = m.Version
		}
		_ = json.NewEncoder(w).Encode(answered{
			PID: os.Getpid(), N: value.N, Note: value.Note, Version: held.Version, Mark: marked,
			FromCache: state.FromCache(), Connected: set.Status().Connected,
		})
	})
}

func listen(ctx context.Context, handle http.HandlerFunc) error {
	l, err := net.Listen("tcp", os.Getenv(appVariable))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handle, ReadHeaderTimeout: patience}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err = <-ended:
		return err
	case <-ctx.Done():
	}
	err = server.Shutdown(context.WithoutCancel(ctx))
	if serveErr := <-ended; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return err
}

// web is a program that answers over HTTP with what it is configured by.
type web struct {
	*house
	name    string
	addr    string
	process *program.Process
	plain   *http.Client
}

// newApp prepares the application, which does not run yet. env are more
// variables for it.
func newApp(h *house, name string, env ...string) *web {
	h.Helper()
	self, err := os.Executable()
	h.must(err)
	w := newWeb(h, name, self)
	w.process.Env = append(w.process.Env, h.environ()...)
	w.process.Env = append(w.process.Env, appVariable+"="+w.addr, "APP_ENV="+shop)
	w.process.Env = append(w.process.Env, env...)
	return w
}

func newWeb(h *house, name, path string, args ...string) *web {
	h.Helper()
	w := &web{house: h, name: name, addr: freeport.For(h), process: h.newProcess(name, path, args...)}
	// A worker of nginx that is on its way out would answer on a connection that is kept.
	w.plain = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	return w
}

// start runs the program and waits until it answers.
func (w *web) start() {
	w.Helper()
	w.must(w.process.Launch())
	w.until("an answer", func(answered) bool { return true })
}

// until waits for an answer that is as wanted.
func (w *web) until(what string, wanted func(answered) bool) (last answered) {
	w.Helper()
	err := w.process.Until(w.name+": "+what, patience, func() bool {
		var ok bool
		last, ok = w.ask()
		return ok && wanted(last)
	})
	if err != nil {
		w.Fatalf("%v; its last answer was %+v", err, last)
	}
	return last
}

func (w *web) ask() (a answered, ok bool) {
	resp, err := w.plain.Get("http://" + w.addr + "/")
	if err != nil {
		return a, false
	}
	defer resp.Body.Close()
	return a, json.NewDecoder(resp.Body).Decode(&a) == nil
}

// logged reports whether the program has logged a line with all of the words.
func (w *web) logged(words ...string) bool {
	for line := range strings.Lines(w.process.Log()) {
		found := 0
		for _, word := range words {
			if strings.Contains(line, word) {
				found++
			}
		}
		if found == len(words) {
			return true
		}
	}
	return false
}

// idIn makes an id whose bucket lies in [low, high), for a launch whose shares
// are dealt by a path.
func (h *house) idIn(prefix, path string, low, high int) string {
	h.Helper()
	for i := range 100_000 {
		id := prefix + "-" + strconv.Itoa(i)
		if b := config.Bucket(path, id); b >= low && b < high {
			return id
		}
	}
	h.Fatalf("no id of %s has a bucket from %d to %d", prefix, low, high)
	return ""
}
