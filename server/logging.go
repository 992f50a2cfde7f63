package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

// LogSettings say what is logged.
type LogSettings struct {
	Level  string `yaml:"level" doc:"the least that is logged: debug, info, warn or error"`
	Format string `yaml:"format" doc:"text for people, json for machines"`
}

func (s LogSettings) validate() error {
	var errs []error
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, s.Level) {
		errs = append(errs, config.Errorf(config.Invalid, "settings", "log.level", "%q is none of debug, info, warn, error", s.Level))
	}
	if s.Format != "text" && s.Format != "json" {
		errs = append(errs, config.Errorf(config.Invalid, "settings", "log.format", "%q is neither text nor json", s.Format))
	}
	return errors.Join(errs...)
}

// NewLog makes the node's logger. Every line that is logged with the context of
// a request carries the request's id.
func NewLog(w io.Writer, s LogSettings) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(strings.ToUpper(s.Level))); err != nil {
		level = slog.LevelInfo // Validate lets no other word through
	}
	options := &slog.HandlerOptions{Level: level}
	if s.Format == "json" {
		return slog.New(requestHandler{slog.NewJSONHandler(w, options)})
	}
	return slog.New(requestHandler{slog.NewTextHandler(w, options)})
}

// requestHandler adds the id of the request that is being served.
type requestHandler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h requestHandler) Handle(ctx context.Context, r slog.Record) error {
	if id := auth.RequestFrom(ctx).ID; id != "" {
		said := false
		r.Attrs(func(a slog.Attr) bool {
			said = a.Key == "request_id"
			return !said
		})
		if !said {
			r.AddAttrs(slog.String("request_id", id))
		}
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h requestHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return requestHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h requestHandler) WithGroup(name string) slog.Handler {
	return requestHandler{h.Handler.WithGroup(name)}
}
