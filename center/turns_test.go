package center

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/setpointhq/setpoint/config"
)

func TestTurnsExcludeAndNeverLock(t *testing.T) {
	turns := newTurns()
	paths := make([]config.Path, 5)
	holders := make([]int, len(paths))
	for i := range paths {
		paths[i] = config.Path{Tenant: "acme", App: "shop", Env: "dev", Name: fmt.Sprint(i)}
	}
	var wg sync.WaitGroup
	for w := range 20 {
		wg.Go(func() {
			for i := range 200 {
				a, b := (w+i)%len(paths), (w*7+i*3)%len(paths)
				giveBack, err := turns.take(t.Context(), []config.Path{paths[a], paths[b], paths[a]})
				if err != nil {
					t.Error(err)
					return
				}
				holders[a]++ // the race detector tells if anybody else is here
				if b != a {
					holders[b]++
				}
				giveBack()
			}
		})
	}
	wg.Wait()
	if len(turns.lines) != 0 {
		t.Errorf("%d lines are left with nobody in them", len(turns.lines))
	}
}

func TestWhoLeavesTheLineHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		path := []config.Path{{Tenant: "acme", App: "shop", Env: "dev", Name: "a"}}
		first, err := turns.take(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		impatient, leave := context.WithCancel(t.Context())
		left := make(chan error)
		go func() { _, err := turns.take(impatient, path); left <- err }()
		synctest.Wait()
		next := make(chan func())
		go func() { giveBack, _ := turns.take(t.Context(), path); next <- giveBack }()
		synctest.Wait()
		leave()
		if err := <-left; err == nil {
			t.Error("want who left to be told")
		}
		first()
		(<-next)()
		if len(turns.lines) != 0 {
			t.Errorf("%d lines are left with nobody in them", len(turns.lines))
		}
	})
}
