package grpc

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"unicode"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/setpointhq/setpoint/config"
)

// named tells which field of a message is a field of the domain, where the names
// differ: by the message's name and the field's, or by the field's alone.
var namedTable = map[string]string{
	"ChangeItem.path": "Path", "PreviewChoice.now_version": "Now", "PreviewChoice.then_version": "Then",
	"Source.from_path": "From", "Freeze.begins_at": "From", "Freeze.ends_at": "To", "Weekly.begins": "From", "Weekly.ends": "To",
	"AuditFinding.from_time": "From", "AuditFinding.until_time": "Until", "Node.is_self": "Self", "Gate.applied_share": "Applied", "ErrorDetail.current_version": "Current", "ErrorDetail.message": "-", "ErrorDetail.request_id": "-", "ErrorDetail.problems_omitted": "-",
	"ExplainResponse.text": "-", "ExplainResponse.explanation": "Explanation", "ConfigState.config": "Config", "PreviewResponse.instances": "Items",
	"PreviewResponse.next_page_token": "Next", "ListInstancesResponse.instances": "Items", "ListInstancesResponse.next_page_token": "Next",
}

// read makes a noun of the domain of a message, by the names of the fields and
// nothing else. It knows nothing of the functions that make messages of nouns, and
// so shows what they forget or mix up.
func read[T any](m proto.Message) T {
	var noun T
	into := reflect.ValueOf(&noun).Elem()
	readInto(into, m.ProtoReflect())
	return noun
}

func readInto(into reflect.Value, m protoreflect.Message) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		name := string(m.Descriptor().Name()) + "." + string(f.Name())
		goName, differs := namedTable[name]
		if goName == "-" {
			return true
		}
		var field reflect.Value
		if differs {
			field = into.FieldByName(goName)
		} else {
			field = into.FieldByNameFunc(func(n string) bool { return strings.EqualFold(n, strings.ReplaceAll(string(f.Name()), "_", "")) })
		}
		if !field.IsValid() {
			panic(fmt.Sprintf("%s has no field for %s", into.Type(), name))
		}
		readValue(field, f, v)
		return true
	})
}

func readValue(into reflect.Value, f protoreflect.FieldDescriptor, v protoreflect.Value) {
	switch {
	case f.IsMap():
		all := map[string]string{}
		v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
			all[k.String()] = v.String()
			return true
		})
		into.Set(reflect.ValueOf(all))
	case f.IsList():
		list := reflect.MakeSlice(into.Type(), v.List().Len(), v.List().Len())
		for i := range v.List().Len() {
			readOne(list.Index(i), f, v.List().Get(i))
		}
		into.Set(list)
	default:
		readOne(into, f, v)
	}
}

func readOne(into reflect.Value, f protoreflect.FieldDescriptor, v protoreflect.Value) {
	if into.Kind() == reflect.Pointer {
		into.Set(reflect.New(into.Type().Elem()))
		into = into.Elem()
	}
	switch f.Kind() {
	case protoreflect.StringKind:
		if text, is := into.Addr().Interface().(encoding.TextUnmarshaler); is && into.Kind() != reflect.String {
			if err := text.UnmarshalText([]byte(v.String())); err != nil {
				panic(err)
			}
			return
		}
		into.SetString(v.String())
	case protoreflect.BytesKind:
		into.SetBytes(v.Bytes())
	case protoreflect.BoolKind:
		into.SetBool(v.Bool())
	case protoreflect.EnumKind:
		into.SetString(wordOf(f.Enum(), v.Enum()))
	case protoreflect.MessageKind:
		switch m := v.Message().Interface().(type) {
		case *timestamppb.Timestamp:
			into.Set(reflect.ValueOf(m.AsTime()))
		case *durationpb.Duration:
			if into.Type() == reflect.TypeFor[config.Seconds]() {
				into.SetFloat(m.AsDuration().Seconds())
			} else {
				into.SetInt(int64(m.AsDuration()))
			}
		default:
			readInto(into, v.Message())
		}
	default:
		into.SetInt(v.Int())
	}
}

// wordOf is what the domain calls a value of an enum, by its name.
func wordOf(e protoreflect.EnumDescriptor, n protoreflect.EnumNumber) string {
	var prefix strings.Builder
	for i, r := range string(e.Name()) {
		if unicode.IsUpper(r) && i > 0 {
			prefix.WriteByte('_')
		}
		prefix.WriteRune(unicode.ToUpper(r))
	}
	text := strings.ToLower(strings.TrimPrefix(string(e.Values().ByNumber(n).Name()), prefix.String()+"_"))
	switch text {
	case "unspecified":
		return ""
	case "tar_gz":
		return "tar.gz"
	}
	if e.Name() == "ErrorKind" {
		return text
	}
	return strings.ReplaceAll(text, "_", "-")
}
