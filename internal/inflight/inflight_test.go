package inflight

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestWaitsForThoseUnderWayAndLetsNobodyElseBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		const handlers = 10
		for range handlers {
			if !c.Enter() {
				t.Fatal("want handlers let in before the end")
			}
		}
		if c.Wait(time.Second) {
			t.Error("want the patience to end while handlers are under way")
		}
		if c.Enter() {
			t.Error("want nobody let in after the end has begun")
		}
		var leaving sync.WaitGroup
		for i := range handlers {
			leaving.Go(func() {
				<-time.After(time.Duration(i) * time.Second)
				c.Leave()
			})
		}
		begun := time.Now()
		if !c.Wait(time.Minute) {
			t.Error("want it to see that all have left")
		}
		if took, want := time.Since(begun), (handlers-1)*time.Second; took != want {
			t.Errorf("want it to wait %s, until the last has left, waited %s", want, took)
		}
		leaving.Wait()
	})
}

func TestWaitsForNobody(t *testing.T) {
	if !New().Wait(time.Minute) {
		t.Error("want nothing to wait for")
	}
}
