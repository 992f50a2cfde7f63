package etcd

import (
	"context"
	"log/slog"
	"runtime"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// zapLogger returns a zap logger, which etcd insists on, that writes to slog.
// Only warnings and worse pass, unless the slog logger is enabled for debugging.
// fatal is told of an entry after which etcd would have ended the process; the
// goroutine that wrote it ends instead.
func zapLogger(log *slog.Logger, fatal func(message string)) *zap.Logger {
	level := zapcore.WarnLevel
	if log.Enabled(context.Background(), slog.LevelDebug) {
		level = zapcore.InfoLevel
	}
	return zap.New(&bridge{LevelEnabler: level, log: log}, zap.WithFatalHook(fatalHook(fatal)))
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
	log *slog.Logger
}

// With implements zapcore.Core.
func (b *bridge) With(fields []zapcore.Field) zapcore.Core {
	return &bridge{LevelEnabler: b.LevelEnabler, log: slog.New(b.log.Handler().WithAttrs(attrs(fields)))}
}

// Check implements zapcore.Core.
func (b *bridge) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if !b.Enabled(entry.Level) {
		return checked
	}
	return checked.AddCore(entry, b)
}

// Write implements zapcore.Core.
func (b *bridge) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	ctx, level := context.Background(), slogLevel(entry, fields)
	if !b.log.Enabled(ctx, level) {
		return nil
	}
	record := slog.NewRecord(entry.Time, level, entry.Message, 0)
	record.AddAttrs(attrs(fields)...)
	return b.log.Handler().Handle(ctx, record)
}

// Sync implements zapcore.Core; slog has nothing to flush.
func (b *bridge) Sync() error { return nil }

// slogLevel is the level that an entry deserves here. etcd complains of some
// things that Setpoint does on purpose, or that mend themselves.
func slogLevel(entry zapcore.Entry, fields []zapcore.Field) slog.Level {
	switch entry.Message {
	case "exceeded recommended request limit", // max_request_bytes, for large change sets
		"Running http and grpc server on single port. This is not recommended for production.", // there is no port at all
		"simple token is not cryptographically signed",                                         // etcd's own users are not used
		"retrying of unary invoker failed":                                                     // what stays broken is returned
		return slog.LevelDebug
	case "Failed to detect schema version", "failed to update storage version":
		if youngDatabase(fields) {
			return slog.LevelDebug
		}
	}
	switch {
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

// snake turns etcd's kebab-case keys into the snake_case of all other logs.
func snake(key string) string {
	b := []byte(key)
	for i, c := range b {
		if c == '-' {
			b[i] = '_'
		}
	}
	return string(b)
}

var _ zapcore.Core = (*bridge)(nil)
