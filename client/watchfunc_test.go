package client_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/client/clienttest"
	"github.com/setpointhq/setpoint/config"
)

func TestWatchFunc(t *testing.T) {
	srv := clienttest.NewServer(t)
	srv.Put(pathA, "1")
	c := srv.Client(t, client.Options{})
	enough := errors.New("enough")
	var got []string
	err := c.WatchFunc(t.Context(), client.WatchRequest{Patterns: []string{env}}, func(e client.Event) error {
		for _, change := range e.Changes {
			got = append(got, string(change.Content))
		}
		switch {
		case e.Current:
			srv.Put(pathA, "2")
		case len(got) == 2:
			return enough
		}
		return nil
	})
	if diff := cmp.Diff([]string{"1", "2"}, got); diff != "" || !errors.Is(err, enough) {
		t.Errorf("contents, with %v (-want +got):\n%s", err, diff)
	}
	srv.Refuse(config.Denied)
	err = c.WatchFunc(t.Context(), client.WatchRequest{Patterns: []string{env}}, func(client.Event) error { return nil })
	if config.KindOf(err) != config.Denied {
		t.Errorf("want denied, got %v", err)
	}
}

func TestWatchChan(t *testing.T) {
	srv := clienttest.NewServer(t)
	srv.Put(pathA, "1")
	c := srv.Client(t, client.Options{})
	request := client.WatchRequest{Patterns: []string{env}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	tests := []struct {
		name string
		ctx  context.Context
		stop func()
		want error
	}{
		{"ended by its function", t.Context(), func() {}, nil},
		{"ended by its context", ctx, cancel, context.Canceled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			events, end := c.WatchChan(tt.ctx, request)
			if e := <-events; !e.Reset || len(e.Changes) != 1 {
				t.Errorf("want a snapshot, got %+v", e)
			}
			tt.stop()
			if tt.want != nil {
				for range events { // it closes by itself
				}
			}
			for range 2 {
				if err := end(); !errors.Is(err, tt.want) {
					t.Errorf("want %v, got %v", tt.want, err)
				}
			}
			if _, ok := <-events; ok {
				t.Error("want the channel closed")
			}
		})
	}
	srv.Refuse(config.Denied)
	events, end := c.WatchChan(t.Context(), request)
	for e := range events {
		t.Errorf("want no event, got %+v", e)
	}
	if err := end(); config.KindOf(err) != config.Denied {
		t.Errorf("want denied, got %v", err)
	}
}
