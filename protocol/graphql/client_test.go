package graphql

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/graphql/internal/exec"
	"github.com/setpointhq/setpoint/protocol/protocoltest"
)

// asker is a client that asks for everything that the schema has of what it asks
// for. It turns answers into the domain's nouns, and nouns into arguments, by the
// schema alone: a field that is missing there, or misnamed, is missed by the suite.
type asker struct {
	http   *http.Client
	url    string
	header http.Header
	schema *ast.Schema
}

func theSchema() *ast.Schema { return exec.NewExecutableSchema(exec.Config{}).Schema() }

// connect makes a client of a node of the suite.
func connect(n *protocoltest.Node, as protocoltest.Caller) *asker {
	c := &asker{
		url: n.URL + path, header: http.Header{}, schema: theSchema(),
		http: &http.Client{Transport: &http.Transport{TLSClientConfig: n.TLS.Clone(), ForceAttemptHTTP2: true}},
	}
	if !as.Token.Empty() {
		c.header.Set("Authorization", "Bearer "+as.Token.Reveal())
	}
	var labels []string
	for k, v := range as.Instance.Labels {
		labels = append(labels, k+"="+v)
	}
	for name, value := range map[string]string{
		"Setpoint-Instance": as.Instance.ID, "Setpoint-Slot": as.Instance.Slot, "Setpoint-Labels": strings.Join(labels, ","),
	} {
		if value != "" {
			c.header.Set(name, value)
		}
	}
	return c
}

// Close implements protocoltest.Client.
func (c *asker) Close() { c.http.CloseIdleConnections() }

// arguments are those of a field. What is nil is left out.
type arguments map[string]any

// ask has one field done, and reads everything that is known of the answer.
func ask[T any](ctx context.Context, c *asker, field string, args arguments) (out T, err error) {
	operation, root := "query", c.schema.Query
	if root.Fields.ForName(field) == nil {
		operation, root = "mutation", c.schema.Mutation
	}
	f := root.Fields.ForName(field)
	if f == nil {
		return out, fmt.Errorf("there is no field %s", field)
	}
	answer, err := c.post(ctx, request{Query: c.document(operation, f, args), Variables: args.known()})
	if err != nil {
		return out, err
	}
	noun, err := json.Marshal(c.noun(f.Type, answer[field]))
	if err != nil {
		return out, err
	}
	return out, json.Unmarshal(noun, &out)
}

// known are the arguments that are not left out.
func (a arguments) known() map[string]any {
	known := maps.Clone(a)
	maps.DeleteFunc(known, func(_ string, v any) bool { return v == nil })
	return known
}

// document asks for a field with all that there is below it.
func (c *asker) document(operation string, f *ast.FieldDefinition, args arguments) string {
	var variables, passed []string
	for _, name := range slices.Sorted(maps.Keys(args.known())) {
		variables = append(variables, "$"+name+": "+f.Arguments.ForName(name).Type.String())
		passed = append(passed, name+": $"+name)
	}
	text := operation
	if len(variables) > 0 {
		text += "(" + strings.Join(variables, ", ") + ")"
	}
	text += " { " + f.Name
	if len(passed) > 0 {
		text += "(" + strings.Join(passed, ", ") + ")"
	}
	return text + c.selection(f.Type.Name(), map[string]int{}) + " }"
}

// selection is everything that a type has; of what is made of its own kind three
// levels.
func (c *asker) selection(name string, within map[string]int) string {
	const levels = 3
	t := c.schema.Types[name]
	if t.Kind != ast.Object {
		return ""
	}
	within[name]++
	defer func() { within[name]-- }()
	var b strings.Builder
	b.WriteString(" {")
	for _, f := range t.Fields {
		if within[f.Type.Name()] < levels && !strings.HasPrefix(f.Name, "__") {
			b.WriteString(" " + f.Name + c.selection(f.Type.Name(), within))
		}
	}
	return b.String() + " }"
}

// post sends an operation and returns the data of the answer.
func (c *asker) post(ctx context.Context, asked request) (map[string]any, error) {
	body, err := json.Marshal(map[string]any{"query": asked.Query, "variables": asked.Variables})
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header = c.header.Clone()
	r.Header.Set("Content-Type", jsonType)
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, config.AsError(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, config.AsError(err)
	}
	answer, err := readAnswer(text)
	if err != nil {
		return nil, fmt.Errorf("%w\n%s\n%s", err, asked.Query, text)
	}
	if len(answer.Errors) > 0 {
		return nil, answer.Errors[0].back()
	}
	return answer.Data, nil
}

// answer is what comes back.
type answer struct {
	Data   map[string]any `json:"data"`
	Errors []problemOf    `json:"errors"`
}

// problemOf is an error as clients see it.
type problemOf struct {
	Message    string `json:"message"`
	Path       []any  `json:"path"`
	Locations  []any  `json:"locations"`
	Extensions struct {
		Code           string           `json:"code"`
		Path           string           `json:"path"`
		CurrentVersion int64            `json:"currentVersion"`
		Problems       []config.Problem `json:"problems"`
		RetryAfterMs   int64            `json:"retryAfterMs"`
		RequestID      string           `json:"requestId"`
	} `json:"extensions"`
}

func readAnswer(text []byte) (a answer, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return a, d.Decode(&a)
}

// back is what a client makes of an error.
func (p problemOf) back() error {
	return &config.Error{
		Kind: config.ParseErrorKind(p.Extensions.Code), Path: p.Extensions.Path, Current: p.Extensions.CurrentVersion,
		Problems: p.Extensions.Problems, Err: errors.New(p.Message),
	}
}

// noun turns a value of the schema's into the JSON of the noun that it is bound to:
// other names, other words, and times that end in their unit.
func (c *asker) noun(t *ast.Type, v any) any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		all := make([]any, len(v))
		for i := range v {
			all[i] = c.noun(t.Elem, v[i])
		}
		return all
	case map[string]any:
		if c.schema.Types[t.Name()].Kind != ast.Object {
			return v // labels
		}
		all := map[string]any{}
		for key, value := range v {
			f := c.schema.Types[t.Name()].Fields.ForName(key)
			all[nounKey(key, f.Type)] = c.noun(f.Type, value)
		}
		return all
	case string:
		if c.schema.Types[t.Name()].Kind == ast.Enum {
			return strings.ReplaceAll(strings.ToLower(v), "_", "-")
		}
	}
	return v
}

// nounKey is the name of a field in the JSON of nouns.
func nounKey(name string, t *ast.Type) string {
	var b strings.Builder
	for _, c := range name {
		if c >= 'A' && c <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteString(strings.ToLower(string(c)))
	}
	if t.Name() == "Duration" {
		b.WriteString("_seconds")
	}
	return b.String()
}

// input turns a noun into an argument of a type: what the type does not have is left
// out, as is what says nothing.
func (c *asker) input(tb testing.TB, name string, noun any) map[string]any {
	tb.Helper()
	b, err := json.Marshal(noun)
	if err != nil {
		tb.Fatal(err)
	}
	var v map[string]any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		tb.Fatal(err)
	}
	in, _ := c.argument(&ast.Type{NamedType: name}, v).(map[string]any)
	return in
}

func (c *asker) argument(t *ast.Type, v any) any {
	switch v := v.(type) {
	case []any:
		all := make([]any, len(v))
		for i := range v {
			all[i] = c.argument(t.Elem, v[i])
		}
		return all
	case map[string]any:
		if c.schema.Types[t.Name()].Kind != ast.InputObject {
			return v // labels
		}
		all := map[string]any{}
		for _, f := range c.schema.Types[t.Name()].Fields {
			if value, found := v[nounKey(f.Name, f.Type)]; found && value != "" && value != nil {
				all[f.Name] = c.argument(f.Type, value)
			}
		}
		return all
	case string:
		if c.schema.Types[t.Name()].Kind == ast.Enum {
			return strings.ReplaceAll(strings.ToUpper(v), "-", "_")
		}
	}
	return v
}
