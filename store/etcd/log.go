package etcd

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// zapLogger returns a zap logger, which etcd insists on, that writes to slog.
// Little but warnings and worse passes, unless the slog logger is enabled for debugging.
// fatal is told of an entry after which etcd would have ended the process, by exit
// or by panic; the goroutine that wrote it ends instead.
func zapLogger(log *slog.Logger, fatal func(message string)) *zap.Logger {
	return zap.New(&bridge{LevelEnabler: zapcore.InfoLevel, log: log, said: &repetition{last: map[string]time.Time{}}}, zap.WithFatalHook(fatalHook(fatal)), zap.WithPanicHook(fatalHook(fatal)))
}

type fatalHook func(message string)

// OnWrite implements zapcore.CheckWriteHook.
func (h fatalHook) OnWrite(entry *zapcore.CheckedEntry, _ []zapcore.Field) {
	h(entry.Message)
	runtime.Goexit()
}

// bridge is a zapcore.Core that writes to slog.
type bridge struct {
	zapcore.LevelEnabler
	log  *slog.Logger
	said *repetition
}

// With implements zapcore.Core.
func (b *bridge) With(fields []zapcore.Field) zapcore.Core {
	return &bridge{LevelEnabler: b.LevelEnabler, log: slog.New(b.log.Handler().WithAttrs(attrs(fields))), said: b.said}
}

// Check implements zapcore.Core.
func (b *bridge) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	shown := entry.Level >= zapcore.WarnLevel || entry.Message == peerIsBack || b.log.Enabled(context.Background(), slog.LevelDebug)
	if !b.Enabled(entry.Level) || !shown {
		return checked
	}
	return checked.AddCore(entry, b)
}

// Write implements zapcore.Core.
func (b *bridge) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	ctx, level := context.Background(), slogLevel(entry, fields)
	if level == slog.LevelWarn && b.said.lately(entry, fields) {
		level = slog.LevelDebug
	}
	if !b.log.Enabled(ctx, level) {
		return nil
	}
	record := slog.NewRecord(entry.Time, level, entry.Message, 0)
	record.AddAttrs(attrs(fields)...)
	return b.log.Handler().Handle(ctx, record)
}

// Sync implements zapcore.Core; slog has nothing to flush.
func (b *bridge) Sync() error { return nil }

// peerIsBack is the one piece of news that is worth telling: it ends a warning.
const peerIsBack = "peer became active"

// slogLevel is the level that an entry deserves here. etcd complains of some
// things that Setpoint does on purpose, or that mend themselves.
func slogLevel(entry zapcore.Entry, fields []zapcore.Field) slog.Level {
	switch entry.Message {
	case peerIsBack:
		return slog.LevelInfo
	case "lost TCP streaming connection with remote peer", "failed to reach the peer URL", "failed to get version":
		return slog.LevelDebug // a peer that became inactive; that is told
	case "exceeded recommended request limit", // max_request_bytes, for large change sets
		"Running http and grpc server on single port. This is not recommended for production.", // there is no port at all
		"simple token is not cryptographically signed",                                         // etcd's own users are not used
		"retrying of unary invoker failed",                                                     // what stays broken is returned
		"closed TCP streaming connection with remote peer",                                     // on purpose, by this side
		"request stats", // what is slow is told where it is applied
		"Validation on configuration change failed", // likewise
		"bootstrap failed",                          // likewise
		"stopped publish because server is stopping",
		"leadership transfer failed",            // it is tried in another way before
		"failed to find remote peer in cluster": // one that starts knows nobody yet
		return slog.LevelDebug
	case "Failed to detect schema version", "failed to update storage version":
		if youngDatabase(fields) {
			return slog.LevelDebug
		}
	}
	switch {
	case ownEnd(fields), strings.HasPrefix(entry.Message, "rejecting "): // which is returned, too
		return slog.LevelDebug
	case strings.Contains(entry.Message, "cannot campaign at term"): // a lone member that replays its own joining
		return slog.LevelDebug
	case entry.Level >= zapcore.ErrorLevel:
		return slog.LevelError
	case entry.Level == zapcore.WarnLevel:
		return slog.LevelWarn
	default:
		return slog.LevelDebug
	}
}

// youngDatabase recognises what etcd reports until the first entry was applied.
func youngDatabase(fields []zapcore.Field) bool {
	for _, f := range fields {
		if err, ok := f.Interface.(error); ok && strings.Contains(err.Error(), "missing term information") {
			return true
		}
	}
	return false
}

// ownEnd recognises what etcd reports of connections because it stops itself.
func ownEnd(fields []zapcore.Field) bool {
	for _, f := range fields {
		if err, ok := f.Interface.(error); ok && strings.Contains(err.Error(), "context canceled") {
			return true
		}
	}
	return false
}

// quiet is how long etcd's warnings of one thing are not repeated: of a member
// that does not answer it has several, some many times a second.
const (
	quiet     = time.Minute
	maxQuiets = 1_000
)

// repetition knows which warnings have been given lately.
type repetition struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// lately reports whether a warning of the same thing was given a short while ago,
// and notes this one if not.
func (r *repetition) lately(entry zapcore.Entry, fields []zapcore.Field) bool {
	key := entry.Message
	for _, f := range fields {
		switch f.Key {
		case "remote-peer-id", "peer-id", "remote-member-id", "address", "to":
			key += "\x00" + f.String
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if last, ok := r.last[key]; ok && entry.Time.Sub(last) < quiet {
		return true
	}
	if len(r.last) >= maxQuiets {
		clear(r.last)
	}
	r.last[key] = entry.Time
	return false
}

// attrs translates zap's fields.
func attrs(fields []zapcore.Field) []slog.Attr {
	enc := zapcore.NewMapObjectEncoder()
	out := make([]slog.Attr, 0, len(fields))
	for _, f := range fields {
		clear(enc.Fields)
		f.AddTo(enc)
		for key, value := range enc.Fields {
			out = append(out, slog.Any(snake(key), value))
		}
	}
	return out
}

// snake turns etcd's keys, in kebab-case or with blanks, into the snake_case of all other logs.
func snake(key string) string {
	b := []byte(key)
	for i, c := range b {
		if c == '-' || c == ' ' {
			b[i] = '_'
		}
	}
	return string(b)
}

var _ zapcore.Core = (*bridge)(nil)
