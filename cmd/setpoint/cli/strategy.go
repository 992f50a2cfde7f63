package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/setpointhq/setpoint/config"
)

// strategyFlags say who is to get a release: with flags for what is asked for
// often, or with a file for everything that there is.
type strategyFlags struct {
	given *pflag.FlagSet

	percent, labels               string
	addresses, instances, targets []string
	any                           bool
	steps, blueGreen, salt, file  string
}

// autoSlots leaves it to the server which slot the candidate gets.
const autoSlots = "auto"

const strategyHelp = `Who gets it is said by flags. --percent, --labels, --address and --instance choose
by what they say, and a client must meet all of them, or with --any one of them.
--steps raises the share step by step, each for as long as it says, among the
clients that the other flags choose if there are any. --targets names instances,
and --blue-green puts the release in the slot that is not active. A file holds
any strategy, in YAML or JSON, as the API has it; there shares are hundredths of
a percent.`

func (f *strategyFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	f.given = flags
	flags.StringVar(&f.percent, "percent", "", "a `SHARE` of the instances by their ids, in percent: 12.5")
	flags.StringVar(&f.labels, "labels", "", "clients whose labels satisfy `EXPR`: 'region in (eu, us), tier != batch'")
	flags.StringSliceVar(&f.addresses, "address", nil, "clients in `NETWORK`: 10.0.0.0/8; may be repeated")
	flags.StringArrayVar(&f.instances, "instance", nil, "the instance `ID`; may be repeated")
	flags.BoolVar(&f.any, "any", false, "clients that meet one of these are enough, not all of them")
	flags.StringVar(&f.steps, "steps", "", "raise the share in `STEPS`, each with how long it lasts: 1%:10m,10%:30m,100%")
	flags.StringSliceVar(&f.targets, "targets", nil, "the instances `ID,ID` and no others")
	flags.StringVar(&f.blueGreen, "blue-green", "", "into the slot that is not active; or name both `SLOTS`: stable,candidate")
	flags.Lookup("blue-green").NoOptDefVal = autoSlots
	flags.StringVar(&f.salt, "salt", "", "decides, with an instance's id, who is in a share: another `TEXT` is another choice")
	flags.StringVar(&f.file, "strategy-file", "", "the strategy is in `FILE`, in YAML or JSON; - for standard input")
}

// strategyOf makes the strategy that the flags ask for; nil if none of them is
// there. What the strategy then means, and whether it makes sense, the server says.
func (a *app) strategyOf(f *strategyFlags) (*config.Strategy, error) {
	if err := f.together(); err != nil {
		return nil, err
	}
	switch {
	case f.given.Changed("strategy-file"):
		content, err := a.readInput(f.file)
		if err != nil {
			return nil, err
		}
		s, err := parseStrategy(content)
		if err != nil {
			return nil, config.Errorf(config.Invalid, "strategy file", f.file, "%w", err)
		}
		return &s, nil
	case f.given.Changed("blue-green"):
		slots, err := parseSlots(f.blueGreen)
		return &config.Strategy{Kind: config.StrategyBlueGreen, Slots: slots}, err
	case f.given.Changed("targets"):
		return &config.Strategy{Kind: config.StrategyTargets, Targets: config.NewInstanceSet(f.targets...)}, nil
	}
	rule, err := f.rule()
	if err != nil {
		return nil, err
	}
	if f.given.Changed("steps") {
		steps, err := parseSteps(f.steps)
		return &config.Strategy{Kind: config.StrategyProgressive, Rule: rule, Salt: f.salt, Steps: steps}, err
	}
	if rule == nil {
		if f.given.Changed("salt") {
			return nil, usagef("--salt is for a share: give --percent or --steps too")
		}
		return nil, nil //nolint:nilnil // no flag is no strategy: callers have one of their own then
	}
	return &config.Strategy{Kind: config.StrategyCanary, Rule: rule, Salt: f.salt}, nil
}

// together refuses flags of which one would go unheard.
func (f *strategyFlags) together() error {
	ruling := []string{"percent", "labels", "address", "instance", "any", "salt"}
	alone := map[string][]string{
		"strategy-file": append(ruling, "steps", "targets", "blue-green"),
		"targets":       append(ruling, "steps", "blue-green"),
		"blue-green":    append(ruling, "steps"),
		"steps":         {"percent"},
	}
	for _, name := range []string{"strategy-file", "targets", "blue-green", "steps"} {
		if !f.given.Changed(name) {
			continue
		}
		if i := slices.IndexFunc(alone[name], f.given.Changed); i >= 0 {
			return usagef("give either --%s or --%s, not both", name, alone[name][i])
		}
	}
	return nil
}

// rule joins what a client must meet; nil if that is nothing.
func (f *strategyFlags) rule() (*config.Rule, error) {
	var parts []config.Rule
	if f.given.Changed("percent") {
		share, err := parsePercent(f.percent)
		if err != nil {
			return nil, usagef("--percent %s", err)
		}
		parts = append(parts, config.Rule{Share: &share})
	}
	if f.given.Changed("labels") {
		labels, err := config.ParseSelector(f.labels)
		if err != nil {
			return nil, usagef("--labels: %s", config.AsError(err).Detail())
		}
		parts = append(parts, config.Rule{Labels: labels})
	}
	if f.given.Changed("address") {
		networks := make([]config.Network, len(f.addresses))
		for i, text := range f.addresses {
			var err error
			if networks[i], err = config.ParseNetwork(strings.TrimSpace(text)); err != nil {
				return nil, usagef("--address: %s", config.AsError(err).Detail())
			}
		}
		parts = append(parts, config.Rule{Addresses: networks})
	}
	if f.given.Changed("instance") {
		parts = append(parts, config.Rule{Instances: config.NewInstanceSet(f.instances...)})
	}
	switch {
	case f.any && len(parts) < 2:
		return nil, usagef("--any wants at least two of --percent, --labels, --address and --instance")
	case len(parts) == 0:
		return nil, nil //nolint:nilnil // see strategyOf
	case f.any:
		return &config.Rule{Any: parts}, nil
	}
	whole := parts[0]
	for _, p := range parts[1:] { // each has one field, and no two have the same
		if len(p.Labels) > 0 {
			whole.Labels = p.Labels
		}
		if len(p.Addresses) > 0 {
			whole.Addresses = p.Addresses
		}
		if len(p.Instances) > 0 {
			whole.Instances = p.Instances
		}
	}
	return &whole, nil
}

// parsePercent reads "12.5" or "12.5%" exactly: a share has hundredths of a
// percent, and nothing is rounded.
func parsePercent(text string) (config.Share, error) {
	number := strings.TrimSuffix(strings.TrimSpace(text), "%")
	whole, fraction, dotted := strings.Cut(number, ".")
	fraction = strings.TrimRight(fraction, "0")
	digits := func(s string) bool { return !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' }) }
	bad := whole == "" || dotted && strings.HasSuffix(number, ".") || !digits(whole) || !digits(fraction)
	switch {
	case bad:
		return 0, fmt.Errorf("%q: want a percentage such as 5 or 12.5", text)
	case len(fraction) > 2:
		return 0, fmt.Errorf("%q: hundredths of a percent, 0.01, are as fine as it gets", text)
	}
	hundredths, err := strconv.Atoi(whole + (fraction + "00")[:2])
	if err != nil || hundredths > int(config.FullShare) {
		return 0, fmt.Errorf("%q: want 0 to 100 percent", text)
	}
	return config.Share(hundredths), nil
}

// parseSteps reads "1%:10m,10%:1d,100%": shares, each with how long it lasts. A
// step without a time lasts no time: the next one begins as soon as it may.
func parseSteps(text string) ([]config.Step, error) {
	var steps []config.Step
	for part := range strings.SplitSeq(text, ",") {
		share, hold, timed := strings.Cut(strings.TrimSpace(part), ":")
		percent, err := parsePercent(share)
		if err != nil {
			return nil, usagef("--steps, step %d: %s", len(steps)+1, err)
		}
		step := config.Step{Share: percent}
		if timed && hold != "0" {
			d, err := lifetime(hold)
			if err == nil && d == 0 {
				err = usagef("the time is missing behind ':'; write 10m, 2h or 1d")
			}
			if err != nil {
				return nil, usagef("--steps, step %d: %s", len(steps)+1, err)
			}
			step.Hold = config.Seconds(d.Seconds())
		}
		steps = append(steps, step)
	}
	return steps, nil
}

// parseSlots reads "stable,candidate"; nil leaves it to the server.
func parseSlots(text string) (*config.Slots, error) {
	if text == autoSlots {
		return nil, nil //nolint:nilnil // which the server fills
	}
	stable, candidate, found := strings.Cut(text, ",")
	if !found || stable == "" || candidate == "" {
		return nil, usagef("--blue-green %q: name the stable release's slot and the candidate's, blue,green, or neither", text)
	}
	return &config.Slots{Stable: stable, Candidate: candidate, Active: stable}, nil
}

// parseStrategy reads one strategy, in YAML or JSON, and refuses what it does
// not know.
func parseStrategy(content []byte) (config.Strategy, error) {
	const most = 1 << 20
	if len(content) > most {
		return config.Strategy{}, fmt.Errorf("more than %d bytes", most)
	}
	plain, err := decodeOne(content)
	if err != nil {
		return config.Strategy{}, err
	}
	if where := unknownField(plain, reflect.TypeFor[config.Strategy]()); where != "" {
		return config.Strategy{}, fmt.Errorf("%s: there is no such field", where)
	}
	// By way of JSON, whose reader takes nothing for something else: 12.5 is no
	// whole number, and 5 is no text.
	text, err := json.Marshal(plain)
	if err != nil {
		return config.Strategy{}, err
	}
	var s config.Strategy
	if err := json.Unmarshal(text, &s); err != nil {
		var wrong *json.UnmarshalTypeError
		var known *config.Error
		switch {
		case errors.As(err, &known):
			err = errors.New(known.Detail())
		case errors.As(err, &wrong) && wrong.Field != "":
			err = fmt.Errorf("%s: want %s, got %s", wrong.Field, sortOf(wrong.Type), wrong.Value)
		}
		return config.Strategy{}, err
	}
	return s, nil
}

// sortOf names what a field takes.
func sortOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Slice:
		return "a list"
	case reflect.Struct:
		return "a mapping"
	case reflect.Float64:
		return "a number"
	default:
		return "a whole number"
	}
}

// decodeOne reads the one document that there is.
func decodeOne(content []byte) (plain map[string]any, err error) {
	dec := yaml.NewDecoder(bytes.NewReader(content), yaml.Strict())
	err = dec.Decode(&plain)
	if err == nil && plain == nil || errors.Is(err, io.EOF) {
		return nil, errors.New("there is nothing in it")
	}
	if err != nil {
		return nil, err
	}
	var more any
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more in it than one strategy")
	}
	return plain, nil
}

// unknownField returns where a field is that the type does not have, written
// exactly so; "" if there is none.
func unknownField(value any, t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch v := value.(type) {
	case map[string]any:
		if t.Kind() != reflect.Struct {
			return ""
		}
		known := map[string]reflect.Type{}
		for field := range t.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			known[name] = field.Type
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			below, ok := known[name]
			if !ok {
				return name
			}
			if where := unknownField(v[name], below); where != "" {
				return strings.Replace(name+"."+where, ".[", "[", 1)
			}
		}
	case []any:
		for i, item := range v {
			if t.Kind() != reflect.Slice {
				break
			}
			if where := unknownField(item, t.Elem()); where != "" {
				return "[" + strconv.Itoa(i) + "]." + where
			}
		}
	}
	return ""
}
