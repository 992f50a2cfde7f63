package ws

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/api"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
)

// schema is as much of JSON Schema as the description needs.
type schema struct {
	Ref                  string            `json:"$ref"`
	Type                 string            `json:"type"`
	Const                any               `json:"const"`
	Enum                 []string          `json:"enum"`
	Required             []string          `json:"required"`
	Properties           map[string]schema `json:"properties"`
	AdditionalProperties any               `json:"additionalProperties"`
	Items                *schema           `json:"items"`
	MaxLength            int               `json:"maxLength"`
	MaxItems             int               `json:"maxItems"`
}

type described struct {
	Channels map[string]struct {
		Address  string         `json:"address"`
		Messages map[string]any `json:"messages"`
	} `json:"channels"`
	Operations map[string]struct {
		Action   string              `json:"action"`
		Messages []map[string]string `json:"messages"`
	} `json:"operations"`
	Components struct {
		Messages map[string]struct {
			Summary  string `json:"summary"`
			Payload  schema `json:"payload"`
			Examples []struct {
				Payload json.RawMessage `json:"payload"`
			} `json:"examples"`
		} `json:"messages"`
		Schemas map[string]schema `json:"schemas"`
	} `json:"components"`
}

var description = sync.OnceValue(func() (d described) {
	text, err := yaml.YAMLToJSON(api.AsyncAPI)
	if err == nil {
		err = json.Unmarshal(text, &d)
	}
	if err != nil {
		panic(err)
	}
	return d
})

// check returns what is not as the description has it. Of answers, which may come
// to have more, fields that are not described are wrong as well: here they are all
// known.
func (d described) check(at string, s schema, v any) error {
	if s.Ref != "" {
		return d.check(at, d.Components.Schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")], v)
	}
	if s.Const != nil && s.Const != v {
		return fmt.Errorf("%s: want %v, got %v", at, s.Const, v)
	}
	if text, isText := v.(string); s.Enum != nil && (!isText || !slices.Contains(s.Enum, text)) {
		return fmt.Errorf("%s: want one of %v, got %v", at, s.Enum, v)
	}
	is := func(sort string) error {
		if s.Type != "" && s.Type != sort {
			return fmt.Errorf("%s: want %s, got %s", at, s.Type, sort)
		}
		return nil
	}
	switch v := v.(type) {
	case map[string]any:
		for _, name := range s.Required {
			if _, there := v[name]; !there {
				return fmt.Errorf("%s: there is no %s", at, name)
			}
		}
		for name, value := range v {
			property, known := s.Properties[name]
			if !known && s.Properties != nil && at != "release" {
				return fmt.Errorf("%s: %s is not described", at, name)
			}
			if err := d.check(name, property, value); err != nil {
				return err
			}
		}
		return is("object")
	case []any:
		for _, item := range v {
			of := schema{}
			if s.Items != nil {
				of = *s.Items
			}
			if err := d.check(strings.Replace(at, "configs", "release", 1), of, item); err != nil {
				return err
			}
		}
		return is("array")
	case string:
		return is("string")
	case bool:
		return is("boolean")
	case float64:
		return is("integer")
	}
	return fmt.Errorf("%s: got %v", at, v)
}

// checkMessage holds a message against the description.
func (d described) checkMessage(text []byte) error {
	var v map[string]any
	if err := json.Unmarshal(text, &v); err != nil {
		return err
	}
	name, _ := v["type"].(string)
	m, known := d.Components.Messages[name]
	if !known {
		return fmt.Errorf("%q is not described", name)
	}
	return d.check(name, m.Payload, v)
}

// What clients may send is described field by field, and what is described is taken.
func TestMessagesAreDescribed(t *testing.T) {
	d := description()
	var toServer []string
	for _, ref := range d.Operations["fromClient"].Messages {
		toServer = append(toServer, strings.TrimPrefix(ref["$ref"], "#/channels/connection/messages/"))
	}
	slices.Sort(toServer)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(messageTypes)), toServer); diff != "" {
		t.Error(diff)
	}
	for name, sort := range messageTypes {
		payload := d.Components.Messages[name].Payload
		got := slices.Sorted(maps.Keys(payload.Properties))
		if diff := cmp.Diff(fieldsOf(reflect.TypeOf(sort.make()).Elem()), got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if payload.AdditionalProperties != false || slices.Contains(payload.Required, "id") != sort.id {
			t.Errorf("%s: got required %v, additionalProperties %v", name, payload.Required, payload.AdditionalProperties)
		}
		for _, example := range d.Components.Messages[name].Examples {
			if _, _, err := decode(example.Payload); err != nil {
				t.Errorf("%s: the example is not taken: %v", name, err)
			}
			if err := d.checkMessage(example.Payload); err != nil {
				t.Errorf("%s: the example is not as described: %v", name, err)
			}
		}
	}
	all := d.Channels["connection"]
	if want, got := len(d.Operations["fromClient"].Messages)+len(d.Operations["toClient"].Messages), len(all.Messages); want != got || all.Address != path {
		t.Errorf("want %d messages at %s, got %d at %s", want, path, got, all.Address)
	}
	if want, got := d.Components.Schemas["id"].MaxLength, longestID; want != got {
		t.Errorf("want ids of %d bytes, got %d", want, got)
	}
	reports := d.Components.Messages["ack"].Payload.Properties["reports"].Items
	if diff := cmp.Diff(fieldsOf(reflect.TypeFor[report]()), slices.Sorted(maps.Keys(reports.Properties))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(fieldsOf(reflect.TypeFor[problem.Details]()), slices.Sorted(maps.Keys(d.Components.Schemas["problem"].Properties))); diff != "" {
		t.Error(diff)
	}
	for _, kind := range config.ErrorKinds() {
		if !slices.Contains(d.Components.Schemas["problem"].Properties["code"].Enum, kind.String()) {
			t.Errorf("the code %s is not described", kind)
		}
	}
}

// fieldsOf lists the keys that JSON of a type has.
func fieldsOf(t reflect.Type) (names []string) {
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func TestTheDescriptionIsHeld(t *testing.T) {
	for text, want := range map[string]bool{
		`{"type":"pong"}`:                                true,
		`{"type":"pong","x":1}`:                          false,
		`{"type":"pong","id":1}`:                         false,
		`{"type":"ping-pong"}`:                           false,
		`{"type":"stale"}`:                               false,
		`{"type":"current","id":"1","revision":"x"}`:     true,
		`{"type":"bye","reason":"x","retry_after_ms":1}`: false,
		`{"type":"changes","id":"1","revision":"x","changes":[{"version":1}]}`: false,
	} {
		if err := description().checkMessage([]byte(text)); (err == nil) != want {
			t.Errorf("%s: want %v, got %v", text, want, err)
		}
	}
}
