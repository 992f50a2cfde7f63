package pki

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

func TestRunFollowsTheFilesAndTriesBrokenOnesAgain(t *testing.T) {
	dir, a := authority(t)
	f := write(t, dir, a, local("n1"))
	synctest.Test(t, func(t *testing.T) {
		// The time here began long before the certificate did.
		<-time.After(time.Until(leaf(t, f.Cert).NotBefore.Add(2 * time.Hour)))
		k := keeper(t, f)
		before := FingerprintOf(k.Certificate())
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- k.Run(ctx) }()
		write(t, dir, a, local("n1"))
		<-time.After(Poll + time.Second)
		synctest.Wait()
		if FingerprintOf(k.Certificate()) == before {
			t.Error("want the new certificate in use after a poll")
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}

		tries, value := 0, 1
		followed, err := Follow(Reading[int]{
			Load: func() (int, error) {
				if tries++; value == 0 {
					return 0, errors.New("broken")
				}
				return value, nil
			},
			Stamp: func() string { return string(rune(value)) },
			Equal: func(a, b int) bool { return a == b }, Describe: func(int) []slog.Attr { return nil },
			Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		value = 0
		for range 10 {
			followed.Look()
		}
		if tries != 2 || followed.Get() != 1 {
			t.Errorf("want one try at what is broken, and the old value; got %d, value %d", tries-1, followed.Get())
		}
		<-time.After(retryBroken)
		followed.Look()
		if tries != 3 {
			t.Error("want it tried again after a while")
		}
	})
}
