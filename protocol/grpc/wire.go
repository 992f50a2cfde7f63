package grpc

import (
	"context"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/fragment"
)

// The fields of messages that are put together here from encoded parts, so that
// a config is encoded once for all who are told of it. A test holds them against
// the description.
const (
	fieldSubscription = protowire.Number(1) // WatchResponse.subscription_id
	fieldChanges      = protowire.Number(3) // WatchResponse.changes
	fieldRevision     = protowire.Number(1) // WatchChanges.revision
	fieldReset        = protowire.Number(2)
	fieldCurrent      = protowire.Number(3)
	fieldPartial      = protowire.Number(4)
	fieldServed       = protowire.Number(5)
	fieldRemoved      = protowire.Number(6)

	fieldConfigs = protowire.Number(1) // ReadEnvResponse.configs

	fieldConfig    = protowire.Number(1) // ReadConfigResponse.config
	fieldReadAt    = protowire.Number(2) // ReadConfigResponse.revision
	fieldUnchanged = protowire.Number(3)
	fieldStale     = protowire.Number(4)
)

// fullMessage is how many bytes of configs a message has at most, unless a single
// one is larger.
const fullMessage = 1 << 20

// smallPart is what is copied rather than shared: below it the copy costs less
// than one part more.
const smallPart = 2 << 10

// encodeServed is the fragment.Encoder of ServedConfig.
func encodeServed(ctx context.Context, r *config.Release, sort fragment.Sort, load fragment.Loader) ([]byte, error) {
	served := servedOf(r)
	if sort != fragment.ChangeOnly {
		content, err := load(ctx, r)
		if err != nil {
			return nil, err
		}
		served.Content = content
	}
	return marshal(served)
}

// servedOf renders a release without its content.
func servedOf(r *config.Release) *setpointv1.ServedConfig {
	return &setpointv1.ServedConfig{
		Path: r.Path.String(), Version: r.Version, Format: r.Format, Digest: r.Digest, Size: r.Size, Time: timestamppb.New(r.Time),
	}
}

// parts puts a message together.
type parts struct {
	done mem.BufferSlice
	last []byte
}

// shared appends a field of bytes, without a copy if they are many.
func (p *parts) shared(field protowire.Number, b []byte) {
	p.last = protowire.AppendTag(p.last, field, protowire.BytesType)
	p.last = protowire.AppendVarint(p.last, uint64(len(b)))
	if len(b) < smallPart {
		p.last = append(p.last, b...)
		return
	}
	if p.done == nil {
		const most = 3 // of a message about one config
		p.done = make(mem.BufferSlice, 0, most)
	}
	p.done = append(p.done, mem.SliceBuffer(p.last), mem.SliceBuffer(b))
	p.last = nil
}

func (p *parts) message() *encoded {
	if len(p.last) > 0 {
		p.done = append(p.done, mem.SliceBuffer(p.last))
	}
	return &encoded{p.done}
}

func sizeOfBytes(field protowire.Number, n int) int {
	return protowire.SizeTag(field) + protowire.SizeBytes(n)
}

// answerOf makes a ReadConfigResponse of an encoded ServedConfig.
func answerOf(served []byte, revision config.Token, unchanged bool, stale *durationpb.Duration) *encoded {
	var p parts
	p.last = make([]byte, 0, min(len(served), smallPart)+len(revision)+32)
	p.shared(fieldConfig, served)
	p.last = protowire.AppendTag(p.last, fieldReadAt, protowire.BytesType)
	p.last = protowire.AppendString(p.last, string(revision))
	if unchanged {
		p.last = protowire.AppendTag(p.last, fieldUnchanged, protowire.VarintType)
		p.last = protowire.AppendVarint(p.last, 1)
	}
	if stale != nil {
		b, _ := proto.Marshal(stale) // two numbers
		p.last = protowire.AppendTag(p.last, fieldStale, protowire.BytesType)
		p.last = protowire.AppendBytes(p.last, b)
	}
	return p.message()
}

// changes are a WatchChanges that is being put together.
type changes struct {
	revision                string
	reset, current, partial bool
	served                  [][]byte // each a ServedConfig
	removed                 []string
	size                    int // of the last two
}

// add adds what is served of a config, a ServedConfig; nil if nothing is any more.
func (c *changes) add(path config.Path, served []byte) {
	if served != nil {
		c.served = append(c.served, served)
		c.size += sizeOfBytes(fieldServed, len(served))
		return
	}
	c.removed = append(c.removed, path.String())
	c.size += sizeOfBytes(fieldRemoved, len(path.String()))
}

// encode makes a WatchResponse of it, and tells how long it is.
func (c *changes) encode(subscription uint32) (*encoded, int) {
	head := make([]byte, 0, len(c.revision)+16)
	head = protowire.AppendTag(head, fieldRevision, protowire.BytesType)
	head = protowire.AppendString(head, c.revision)
	for _, flag := range []struct {
		field protowire.Number
		set   bool
	}{{fieldReset, c.reset}, {fieldCurrent, c.current}, {fieldPartial, c.partial}} {
		if flag.set {
			head = protowire.AppendTag(head, flag.field, protowire.VarintType)
			head = protowire.AppendVarint(head, 1)
		}
	}
	inner := len(head) + c.size
	var p parts
	p.last = make([]byte, 0, min(inner, 2*smallPart)+24)
	if subscription != 0 {
		p.last = protowire.AppendTag(p.last, fieldSubscription, protowire.VarintType)
		p.last = protowire.AppendVarint(p.last, uint64(subscription))
	}
	p.last = protowire.AppendTag(p.last, fieldChanges, protowire.BytesType)
	p.last = protowire.AppendVarint(p.last, uint64(inner))
	outer := len(p.last)
	p.last = append(p.last, head...)
	for _, b := range c.served {
		p.shared(fieldServed, b)
	}
	for _, path := range c.removed {
		p.last = protowire.AppendTag(p.last, fieldRemoved, protowire.BytesType)
		p.last = protowire.AppendString(p.last, path)
	}
	return p.message(), outer + inner
}

// clear leaves what goes for the messages of one revision.
func (c *changes) clear() { *c = changes{revision: c.revision} }
