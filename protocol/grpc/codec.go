package grpc

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// codec turns messages into bytes and back.
type codec struct{}

// Name implements encoding.CodecV2.
func (codec) Name() string { return "proto" }

// encoded is a message that is bytes already. What several are sent is shared.
type encoded struct{ parts mem.BufferSlice }

// joined returns the message in one part, for when it is sent often.
func (e *encoded) joined() *encoded {
	return &encoded{mem.BufferSlice{mem.SliceBuffer(e.parts.Materialize())}}
}

// weight is how many bytes it takes in a cache, about.
func (e *encoded) weight() int { return e.parts.Len() + 256 }

// incoming is a message that is being received, with what is wrong with it.
type incoming struct {
	message proto.Message
	err     error
}

// Marshal implements encoding.CodecV2.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	switch m := v.(type) {
	case *encoded:
		return slices.Clone(m.parts), nil // the library may change what it gets
	case proto.Message:
		b, err := marshal(m)
		return mem.BufferSlice{mem.SliceBuffer(b)}, err
	}
	return nil, fmt.Errorf("a %T is no message", v)
}

// Unmarshal implements encoding.CodecV2.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	switch m := v.(type) {
	case *incoming:
		m.err = unmarshal(data, m.message)
		return nil
	case proto.Message:
		return unmarshal(data, m)
	}
	return fmt.Errorf("a %T is no message", v)
}

func unmarshal(data mem.BufferSlice, into proto.Message) error {
	whole := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer whole.Free()
	return proto.Unmarshal(whole.ReadOnlyData(), into) // which copies what it keeps
}

// marshal is proto.Marshal for messages that may hold text from elsewhere: what a
// client once said of itself in a header, or content that is quoted, need not be
// UTF-8, and one such text must not make the whole answer impossible.
func marshal(m proto.Message) ([]byte, error) {
	b, err := proto.Marshal(m)
	if err != nil {
		mend(m.ProtoReflect())
		b, err = proto.Marshal(m)
	}
	return b, err
}

// mend replaces in all texts of a message what is no UTF-8.
func mend(m protoreflect.Message) {
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case field.IsMap():
			mendMap(field, v.Map())
		case field.IsList():
			list := v.List()
			for i := range list.Len() {
				list.Set(i, mended(field, list.Get(i)))
			}
		default:
			m.Set(field, mended(field, v))
		}
		return true
	})
}

func mendMap(field protoreflect.FieldDescriptor, entries protoreflect.Map) {
	entries.Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
		value := mended(field.MapValue(), v)
		if field.MapKey().Kind() == protoreflect.StringKind {
			if key := valid(k.String()); key != k.String() {
				entries.Clear(k)
				k = protoreflect.ValueOfString(key).MapKey()
			}
		}
		entries.Set(k, value)
		return true
	})
}

func mended(field protoreflect.FieldDescriptor, v protoreflect.Value) protoreflect.Value {
	switch field.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(valid(v.String()))
	case protoreflect.MessageKind, protoreflect.GroupKind:
		mend(v.Message())
	}
	return v
}

func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
