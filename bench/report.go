package bench

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is what a run found.
type Report struct {
	Time     time.Time `json:"time"`
	Machine  Machine   `json:"machine"`
	Server   string    `json:"server"` // its version
	Endpoint string    `json:"endpoint"`
	Rounds   int       `json:"rounds"`
	Seconds  float64   `json:"seconds"` // of a round
	Results  []Result  `json:"results"`
}

// Machine is where the load came from and, unless told otherwise, where the
// server ran too.
type Machine struct {
	CPUs      int     `json:"cpus"`
	Processor string  `json:"processor,omitempty"`
	Memory    int64   `json:"memory_bytes,omitempty"`
	OS        string  `json:"os"`
	Arch      string  `json:"arch"`
	Go        string  `json:"go"`
	FsyncP50  float64 `json:"fsync_p50_ms"` // of 4 KiB written to the data's filesystem
	Load      float64 `json:"load_average"` // of the minute before: more than 0 is somebody else's
}

// Result is one comparison: the server first, then what it is compared with.
type Result struct {
	Scenario    string `json:"scenario"`
	Title       string `json:"title"`
	Subscribers int    `json:"subscribers,omitempty"`
	// Notes are what else was going on, and was looked at.
	Notes []string `json:"notes,omitempty"`
	Rows  []Row    `json:"rows"`
}

// Row is how one subject did in all its rounds.
type Row struct {
	Subject string  `json:"subject"`
	Ops     int64   `json:"ops"` // of a fan-out, deliveries
	Seconds float64 `json:"seconds"`
	Rate    float64 `json:"rate"` // ops a second
	// RateRatio is the server's rate by this subject's, P99Ratio the server's p99
	// by this subject's: medians of neighbouring rounds. 0 for the server itself.
	RateRatio float64 `json:"rate_ratio,omitempty"`
	P99Ratio  float64 `json:"p99_ratio,omitempty"`
	Latency   Latency `json:"latency"`

	// Of a fan-out: until the last subscriber had it, and until the publisher
	// had its answer; and the memory that a subscriber takes up in the subject: by
	// which its process has grown, and what of that is reachable, or stacks.
	Last              *Latency `json:"last,omitempty"`
	Request           *Latency `json:"request,omitempty"`
	PerSubscriber     int      `json:"bytes_per_subscriber,omitempty"`
	HeldPerSubscriber int      `json:"bytes_held_per_subscriber,omitempty"`

	// Of a function that is called in this process: allocations of one call.
	AllocsPerOp *float64 `json:"allocs_per_op,omitempty"`

	CPUSeconds     float64   `json:"cpu_seconds"`      // of the subject's process
	CPUPerOp       float64   `json:"cpu_per_op_us"`    // in microseconds
	LoadCPUSeconds float64   `json:"load_cpu_seconds"` // of the load generator
	RSS            int64     `json:"rss_bytes"`        // of the subject, at the end of its worst round
	RoundRates     []float64 `json:"round_rates"`
	RoundP99s      []float64 `json:"round_p99s_ms"`
}

// describe tells what machine this is, and how fast its disk is in dir.
func describe(dir string) (Machine, error) {
	m := Machine{CPUs: runtime.GOMAXPROCS(0), OS: runtime.GOOS, Arch: runtime.GOARCH, Go: runtime.Version(), Load: loadAverage()}
	m.Processor, m.Memory = describeSystem()
	var err error
	m.FsyncP50, err = fsyncLatency(dir)
	return m, err
}

func fsyncLatency(dir string) (float64, error) {
	const tries = 51
	f, err := os.Create(filepath.Join(dir, "fsync"))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	block := []byte(filler(4 << 10))
	var took []time.Duration
	for range tries {
		start := time.Now()
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return milliseconds(took[tries/2]), nil
}

// Write renders the report for people.
func (r *Report) Write(w io.Writer) error {
	m := r.Machine
	out := &printer{w: w}
	out.line("setpoint %s at %s · %s", r.Server, r.Endpoint, r.Time.Format(time.RFC3339))
	out.line("%d CPUs%s · memory %s · %s/%s · %s · fsync %.2f ms · load average before %.2f",
		m.CPUs, prefixed(" ", m.Processor), size(m.Memory), m.OS, m.Arch, m.Go, m.FsyncP50, m.Load)
	out.line("TLS 1.3; %d rounds of %gs each, in turns; ratios are medians over neighbouring rounds; times in ms", r.Rounds, r.Seconds)
	for _, result := range r.Results {
		out.line("\n%s: %s", result.Scenario, result.Title)
		for _, note := range result.Notes {
			out.line("  %s", note)
		}
		switch {
		case result.Subscribers > 0:
			out.table(result.fanout())
		case result.Scenario == scenarioResolve:
			out.table(result.calls())
		default:
			out.table(result.rates())
		}
	}
	return out.err
}

func (r Result) rates() [][]string {
	rows := [][]string{{"SUBJECT", "RATE/S", "SETPOINT IS", "P50", "P99", "P99.9", "MAX", "CPU µS/OP", "CPU S", "LOAD CPU S", "RSS"}}
	for _, row := range r.Rows {
		ratio := "-"
		if row.RateRatio > 0 {
			ratio = fmt.Sprintf("%.1f %%", 100*row.RateRatio)
		}
		l := row.Latency
		rows = append(rows, []string{
			row.Subject, fmt.Sprintf("%.0f", row.Rate), ratio, ms(l.P50), ms(l.P99), ms(l.P999), ms(l.Max),
			number(row.CPUPerOp, "%.1f"), number(row.CPUSeconds, "%.2f"), number(row.LoadCPUSeconds, "%.2f"), size(row.RSS),
		})
	}
	return rows
}

func (r Result) fanout() [][]string {
	rows := [][]string{{"SUBJECT", "P50", "P99", "P99.9", "MAX", "SETPOINT'S P99", "LAST P50", "LAST P99", "LAST MAX", "ANSWER P50", "CPU µS/OP", "LOAD CPU S", "RSS", "RSS EACH", "HELD EACH"}}
	for _, row := range r.Rows {
		ratio := "-"
		if row.P99Ratio > 0 {
			ratio = fmt.Sprintf("%.2f ×", row.P99Ratio)
		}
		l := row.Latency
		rows = append(rows, []string{
			row.Subject, ms(l.P50), ms(l.P99), ms(l.P999), ms(l.Max), ratio, ms(row.Last.P50), ms(row.Last.P99), ms(row.Last.Max), ms(row.Request.P50),
			number(row.CPUPerOp, "%.1f"), number(row.LoadCPUSeconds, "%.2f"), size(row.RSS), size(int64(row.PerSubscriber)), size(int64(row.HeldPerSubscriber)),
		})
	}
	return rows
}

// calls are of a function: too short for latencies.
func (r Result) calls() [][]string {
	rows := [][]string{{"SUBJECT", "NS/CALL", "ALLOCS/CALL", "BEST ROUND NS", "WORST ROUND NS"}}
	for _, row := range r.Rows {
		rows = append(rows, []string{
			row.Subject, nanoseconds(row.Rate), fmt.Sprintf("%.3f", *row.AllocsPerOp),
			nanoseconds(slices.Max(row.RoundRates)), nanoseconds(slices.Min(row.RoundRates)),
		})
	}
	return rows
}

// nanoseconds renders what one call takes at a rate a second.
func nanoseconds(rate float64) string { return fmt.Sprintf("%.1f", 1e9/rate) }

// printer keeps the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *printer) table(rows [][]string) {
	if p.err != nil {
		return
	}
	t := tabwriter.NewWriter(p.w, 0, 8, 2, ' ', tabwriter.AlignRight)
	for _, row := range rows {
		if _, err := fmt.Fprintln(t, strings.Join(row, "\t")+"\t"); err != nil {
			p.err = err
			return
		}
	}
	p.err = t.Flush()
}

func ms(v float64) string { return fmt.Sprintf("%.2f", v) }

// number renders a measure; "-" where nothing could be measured.
func number(v float64, format string) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf(format, v)
}

func size(n int64) string {
	switch {
	case n == 0:
		return "-"
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

// slug makes a title fit for a file's name.
func slug(title string) string {
	words := strings.FieldsFunc(strings.ToLower(title), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	return strings.Join(words, "-")
}
