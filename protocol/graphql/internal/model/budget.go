package model

import (
	"context"
	"sync/atomic"

	"github.com/setpointhq/setpoint/config"
)

type budgetKey struct{}

// WithBudget bounds the contents of one answer, in bytes: aliases can ask for the same
// content very often.
func WithBudget(ctx context.Context, most int64) context.Context {
	room := new(atomic.Int64)
	room.Store(most)
	return context.WithValue(ctx, budgetKey{}, room)
}

// Spend takes so many bytes from what an answer may hold; TooLarge if that is too much.
func Spend(ctx context.Context, size int) error {
	room, bounded := ctx.Value(budgetKey{}).(*atomic.Int64)
	if bounded && room.Add(-int64(size)) < 0 {
		return config.Errorf(config.TooLarge, "", "", "the contents are more than one answer may hold (max_answer); ask for fewer at a time")
	}
	return nil
}

// TextOf returns the content of an answer if it is UTF-8; nil if it is not.
func TextOf(ctx context.Context, content []byte) (*string, error) {
	text := Text(content)
	if text == nil {
		return nil, nil //nolint:nilnil // it is no text
	}
	return text, Spend(ctx, len(content))
}

// BytesOf returns the content of an answer, of which there is some although it is
// empty.
func BytesOf(ctx context.Context, content []byte) ([]byte, error) {
	return NotNil(content), Spend(ctx, len(content))
}
