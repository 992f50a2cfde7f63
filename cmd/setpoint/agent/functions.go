package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"reflect"
	"slices"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v4"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// tokenVariable holds a secret: neither templates nor commands see it.
const tokenVariable = "SETPOINT_TOKEN"

// kitchen is what a template is rendered from.
type kitchen struct {
	served   map[config.Path]client.Config
	patterns []config.Pattern // of what is watched for the file's group
	getenv   func(string) string
}

// functions are those that templates call, beside those of text/template.
func (k *kitchen) functions() template.FuncMap {
	return template.FuncMap{
		"config": k.text, "configs": k.list, "has": k.has, "version": k.version, "json": k.json, "yaml": k.yaml,
		"env": k.env, "default": orElse, "required": required,
		"quote": quote, "toJSON": toJSON, "indent": indent, "join": join, "split": split, "base": path.Base,
		"trim": strings.TrimSpace, "lower": strings.ToLower, "upper": strings.ToUpper,
		"replace": func(old, with, text string) string { return strings.ReplaceAll(text, old, with) },
	}
}

func (k *kitchen) find(name string) (client.Config, error) {
	p, err := config.ParsePath(name)
	if err == nil {
		err = p.Require(config.LevelConfig)
	}
	if err != nil {
		return client.Config{}, err
	}
	found, ok := k.served[p]
	switch {
	case ok:
		return found, nil
	case !slices.ContainsFunc(k.patterns, func(pattern config.Pattern) bool { return pattern.Match(p) }):
		return client.Config{}, fmt.Errorf("%s is not watched: name it in the file's uses", p)
	}
	return client.Config{}, fmt.Errorf("%s is not served to this instance", p)
}

// text is a config's content as it is.
func (k *kitchen) text(name string) (string, error) {
	found, err := k.find(name)
	return string(found.Content), err
}

// list is the paths of the configs that a pattern selects, in order.
func (k *kitchen) list(pattern string) ([]string, error) {
	p, err := config.ParsePattern(pattern)
	if err != nil {
		return nil, err
	}
	var out []string
	for at := range k.served {
		if p.Match(at) {
			out = append(out, at.String())
		}
	}
	slices.Sort(out)
	return out, nil
}

func (k *kitchen) has(name string) (bool, error) {
	p, err := config.ParsePath(name)
	if err != nil {
		return false, err
	}
	_, ok := k.served[p]
	return ok, nil
}

func (k *kitchen) version(name string) (int64, error) {
	found, err := k.find(name)
	return found.Version, err
}

// json is a config's content, read as JSON. Whole numbers stay whole.
func (k *kitchen) json(name string) (any, error) {
	found, err := k.find(name)
	if err != nil {
		return nil, err
	}
	in := json.NewDecoder(bytes.NewReader(found.Content))
	in.UseNumber()
	var v any
	if err := in.Decode(&v); err != nil {
		return nil, fmt.Errorf("%s: version %d: not JSON: %w", name, found.Version, err)
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: version %d: not JSON: there is more after the value", name, found.Version)
	}
	return plainNumbers(v), nil
}

// plainNumbers makes of JSON's numbers those that templates compare with.
func plainNumbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			v[key] = plainNumbers(value)
		}
	case []any:
		for i, value := range v {
			v[i] = plainNumbers(value)
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		if n, err := v.Float64(); err == nil {
			return n
		}
		return v.String()
	}
	return v
}

// yaml is a config's content, read as YAML.
func (k *kitchen) yaml(name string) (any, error) {
	found, err := k.find(name)
	if err != nil {
		return nil, err
	}
	var v any
	if err := yaml.Load(found.Content, &v); err != nil {
		return nil, fmt.Errorf("%s: version %d: not YAML: %w", name, found.Version, err)
	}
	return v, nil
}

func (k *kitchen) env(name string) (string, error) {
	if name == tokenVariable {
		return "", fmt.Errorf("%s is a secret that templates do not get", name)
	}
	return k.getenv(name), nil
}

// orElse is the value, or if that is nothing, zero or empty, the other.
func orElse(otherwise, value any) any {
	if ok, _ := template.IsTrue(value); !ok || value == nil {
		return otherwise
	}
	return value
}

// required is the value; nothing or an empty one is an error with the text.
func required(text string, value any) (any, error) {
	if value == nil || value == "" {
		return nil, errors.New(text)
	}
	return value, nil
}

// quote writes a text in double quotes, escaped as in JSON.
func quote(value any) (string, error) {
	return encodeJSON(fmt.Sprint(value))
}

func toJSON(value any) (string, error) {
	plain, err := textKeys(value, 0)
	if err != nil {
		return "", err
	}
	return encodeJSON(plain)
}

func encodeJSON(value any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(value)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// textKeys makes of YAML's maps those that JSON knows. Anchors can make a value
// hold itself, so that there is a bound.
func textKeys(value any, depth int) (any, error) {
	const deepest = 1000
	if depth > deepest {
		return nil, errors.New("the value is nested too deeply")
	}
	var err error
	switch v := value.(type) {
	case map[any]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			if out[fmt.Sprint(key)], err = textKeys(item, depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			if out[key], err = textKeys(item, depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			if out[i], err = textKeys(item, depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return value, nil
}

// indent puts blanks before every line that is not empty.
func indent(width int, text string) (string, error) {
	const widest = 1000
	if width < 0 || width > widest {
		return "", fmt.Errorf("indent %d: want 0 to %d", width, widest)
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) != "" {
			b.WriteString(strings.Repeat(" ", width))
		}
		b.WriteString(line)
	}
	return b.String(), nil
}

// join writes the items of a list with a text between them.
func join(between string, list any) (string, error) {
	v := reflect.ValueOf(list)
	if k := v.Kind(); k != reflect.Slice && k != reflect.Array {
		return "", fmt.Errorf("join: want a list, got %T", list)
	}
	parts := make([]string, v.Len())
	for i := range parts {
		parts[i] = fmt.Sprint(v.Index(i).Interface())
	}
	return strings.Join(parts, between), nil
}

func split(between, text string) []string { return strings.Split(text, between) }
