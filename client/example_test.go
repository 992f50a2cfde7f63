package client_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

func ExampleNew() {
	c, err := client.New(client.Options{
		Endpoints:  []string{"https://n1.example:7400", "https://n2.example:7400"},
		Token:      config.NewSecret(os.Getenv("SETPOINT_TOKEN")),
		Instance:   config.Client{ID: os.Getenv("POD_NAME"), Labels: map[string]string{"zone": "eu-1"}},
		AppVersion: "1.4.0",
		Log:        slog.Default(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
}

func ExampleClient_Get() {
	c, err := client.New(client.Options{
		Endpoints: []string{"https://setpoint.example:7400"},
		Token:     config.NewSecret(os.Getenv("SETPOINT_TOKEN")),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	path, err := config.ParsePath("acme/checkout/prod/application.yml")
	if err != nil {
		fmt.Println(err)
		return
	}
	served, err := c.Get(context.Background(), path, client.ReadOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("version %d\n%s", served.Version, served.Content)
}

func ExampleClient_Watch() {
	var c *client.Client // of New
	// First comes what is served now, then every change, for as long as the loop runs.
	for event, err := range c.Watch(context.Background(), client.WatchRequest{Patterns: []string{"acme/checkout/prod"}}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, change := range event.Changes {
			fmt.Printf("%s is version %d: %d bytes\n", change.Path, change.Version, len(change.Content))
		}
		if event.Current {
			fmt.Println("up to date")
		}
	}
}

func ExampleClient_WatchChan() {
	var c *client.Client // of New
	events, end := c.WatchChan(context.Background(), client.WatchRequest{Patterns: []string{"acme/checkout/prod"}})
	ticks := time.NewTicker(time.Minute)
	defer ticks.Stop()
	for {
		select {
		case event, ok := <-events:
			if !ok {
				fmt.Println("ended:", end())
				return
			}
			fmt.Println(len(event.Changes), "changes")
		case <-ticks.C:
			fmt.Println("something else to do")
		}
	}
}

func ExampleClient_Open() {
	var c *client.Client // of New
	set, err := c.Open(context.Background(), client.SetOptions{
		Patterns: []string{"acme/checkout/prod"},
		CacheDir: "/var/lib/checkout/setpoint", // to start from when no server answers
		CacheKey: config.NewSecret(os.Getenv("SETPOINT_CACHE_KEY")),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer set.Close()
	for state := range set.Changes() { // the one in force first
		fmt.Println(state.Len(), "configs, of", state.Time())
	}
}

// Limits are what the program is configured by.
type Limits struct {
	Rate    int           `yaml:"rate"`
	Timeout time.Duration `yaml:"timeout"`
}

// Check refuses what the program cannot work with.
func (l *Limits) Check() error {
	if l.Rate <= 0 {
		return errors.New("rate: want more than 0")
	}
	return nil
}

func ExampleBind() {
	var set *client.Set // of Open
	path, err := config.ParsePath("acme/checkout/prod/limits.yaml")
	if err != nil {
		fmt.Println(err)
		return
	}
	limits, err := client.Bind(set, path, client.BindOptions[Limits]{
		Decode:   yaml.Unmarshal, // of any library; none is needed for JSON
		Defaults: func() Limits { return Limits{Rate: 100, Timeout: time.Second} },
		Validate: (*Limits).Check,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		now := limits.Value() // one atomic load: ask anew for each request
		fmt.Fprintln(w, now.Rate, now.Timeout)
	})
}

func ExampleBound_In() {
	var (
		set    *client.Set // of Open
		limits *client.Bound[Limits]
		routes *client.Bound[map[string]string]
	)
	// Both as of one revision, even if a change set changes them meanwhile.
	state := set.State()
	fmt.Println(limits.In(state).Rate, (*routes.In(state))["/"])
}

// logging is a config such as {"level":"debug"}. slog.Level reads itself from
// text, and refuses what is no level.
type logging struct {
	Level slog.Level `json:"level"`
}

// liveLevel is a slog.Leveler: the level that a config says at each moment.
type liveLevel struct{ config *client.Bound[logging] }

func (l liveLevel) Level() slog.Level { return l.config.Value().Level }

// A config sets the level of the program's log while it runs.
func ExampleBind_logLevel() {
	var (
		set  *client.Set // of Open
		path config.Path // of the config
	)
	bound, err := client.Bind(set, path, client.BindOptions[logging]{Optional: true}) // info while there is none
	if err != nil {
		fmt.Println(err)
		return
	}
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: liveLevel{bound}})))
}
