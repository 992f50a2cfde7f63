// Package certs provides the certificate that a server shows: one from files,
// followed when they change, or one that it makes for itself and renews.
package certs

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// Source says where the certificate comes from.
type Source struct {
	// CertFile and KeyFile are PEM files. If they are empty, the server makes a
	// certificate for itself.
	CertFile, KeyFile string
	// Dir is where a certificate of its own making is kept.
	Dir string
	// Name is a further DNS name or IP address that it is for; may be empty.
	Name string
	// Log is told of changes, and of those that cannot be used.
	Log *slog.Logger
}

// Keeper holds the certificate in use and follows its files.
type Keeper struct {
	log     *slog.Logger
	current atomic.Pointer[tls.Certificate]
	// load reads or makes the certificate; stamp changes whenever load would
	// give another one.
	load  func() (*tls.Certificate, error)
	stamp func() string
	seen  string
}

// Poll is how often the files are looked at. Watching the folder would miss
// what mounts and links do to files in containers.
const Poll = 5 * time.Second

// Open reads the certificate, or makes it.
func Open(from Source) (*Keeper, error) {
	k := &Keeper{log: from.Log}
	if from.CertFile != "" {
		k.load = func() (*tls.Certificate, error) { return readPair(from.CertFile, from.KeyFile) }
		k.stamp = func() string { return fileStamp(from.CertFile) + fileStamp(from.KeyFile) }
	} else {
		self := selfSigned{dir: from.Dir, name: from.Name}
		k.load, k.stamp = self.load, self.stamp
	}
	cert, err := k.load()
	if err != nil {
		return nil, err
	}
	k.current.Store(cert)
	k.seen = k.stamp()
	return k, nil
}

// Run follows the certificate's files until ctx ends. A new certificate that
// cannot be used is logged, and the old one stays.
func (k *Keeper) Run(ctx context.Context) error {
	tick := time.NewTicker(Poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			k.look()
		}
	}
}

// look takes in a certificate that changed.
func (k *Keeper) look() {
	now := k.stamp()
	if now == k.seen {
		return
	}
	k.seen = now
	cert, err := k.load()
	if err != nil {
		k.log.Error("the new certificate cannot be used; the old one stays", "error", err)
		return
	}
	k.seen = k.stamp() // load may have written the files itself
	k.current.Store(cert)
	k.log.Info("the certificate was changed", "fingerprint", k.Fingerprint(), "expires", cert.Leaf.NotAfter)
}

// Get is for tls.Config.GetCertificate.
func (k *Keeper) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) { return k.current.Load(), nil }

// Fingerprint is the SHA-256 of the certificate in use, in lower-case hex.
func (k *Keeper) Fingerprint() string {
	sum := sha256.Sum256(k.current.Load().Leaf.Raw)
	return hex.EncodeToString(sum[:])
}

// readPair reads a certificate and its key, and refuses one that clients would.
func readPair(certFile, keyFile string) (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", certFile, keyFile, err)
	}
	if time.Now().After(cert.Leaf.NotAfter) {
		return nil, fmt.Errorf("certificate %s expired on %s", certFile, cert.Leaf.NotAfter.Format(time.DateOnly))
	}
	return &cert, nil
}

// fileStamp changes when a file does, also when another of the same size and
// time takes its name.
func fileStamp(name string) string {
	info, err := os.Stat(name)
	if err != nil {
		return "missing|"
	}
	return fmt.Sprint(info.ModTime().UnixNano(), info.Size(), inode(info), "|")
}
