package pki

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func TestRunFollowsTheFiles(t *testing.T) {
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

	})
}

// counted is a value with a certificate.
type counted struct {
	value int
	cert  *x509.Certificate
}

func TestBrokenFilesAreTriedAgainAndEndsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries, current := 0, counted{1, &x509.Certificate{NotAfter: time.Now().Add(warnBefore + time.Hour)}}
		logged := &recorder{}
		f, err := Follow(Reading[counted]{
			Load: func() (counted, error) {
				if tries++; current.value == 0 {
					return current, errors.New("broken")
				}
				return current, nil
			},
			Stamp: func() string { return strconv.Itoa(current.value) },
			Equal: func(a, b counted) bool { return a == b },
			Leaf:  func(c counted) *x509.Certificate { return c.cert },
			Log:   slog.New(logged),
		})
		if err != nil {
			t.Fatal(err)
		}
		current.value = 0
		for range 10 {
			f.Look()
		}
		if tries != 2 || f.Get().value != 1 {
			t.Errorf("want one try at what is broken, and the old value; got %d, value %d", tries-1, f.Get().value)
		}
		<-time.After(retryBroken)
		f.Look()
		if tries != 3 {
			t.Error("want it tried again after a while")
		}
		current.value = 1
		f.Look()
		logged.take()

		ctx, cancel := context.WithTimeout(t.Context(), 49*time.Hour+time.Minute)
		defer cancel()
		if err := f.Run(ctx); err != nil {
			t.Error(err)
		}
		if got := logged.take(); len(got) != 3 || got[0].Level != slog.LevelWarn {
			t.Errorf("want a warning at once when the end is near, and on each day after it, got %v", got)
		}
	})
}
