package pki

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
)

// member is a node with files of its own that come from the authority's folder.
type member struct {
	*Keeper
	listener

	name  string
	files Files
}

func newMember(t *testing.T, name string, a *Authority) *member {
	t.Helper()
	m := &member{name: name, files: write(t, t.TempDir(), a, local(name))}
	m.Keeper = keeper(t, m.files)
	m.listener = listen(t, m.ServerConfig())
	return m
}

func (m *member) take(t *testing.T, content Material) {
	t.Helper()
	for file, text := range map[string][]byte{m.files.CA: content.CA, m.files.Cert: content.Cert, m.files.Key: content.Key} {
		if len(text) > 0 {
			if err := WriteFile(file, text, SecretMode); err != nil {
				t.Fatal(err)
			}
		}
	}
	m.Look()
}

func (m *member) reissue(t *testing.T, a *Authority) {
	t.Helper()
	cert, key, err := a.Issue(local(m.name))
	if err != nil {
		t.Fatal(err)
	}
	m.take(t, Material{Cert: cert, Key: key})
}

func TestAChangeOfTheAuthorityInterruptsNothing(t *testing.T) {
	dir, old := authority(t)
	n1, n2 := newMember(t, "n1", old), newMember(t, "n2", old)
	// One that reads its authorities once, as engines do.
	roots := x509.NewCertPool()
	roots.AddCert(old.Certificate())
	fixed := &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(n1.files.Cert, n1.files.Key)
		return &pair, err
	}}
	pinned, err := PinnedClientConfig(n1.Fingerprint(), "127.0.0.1") // an invitation from before
	if err != nil {
		t.Fatal(err)
	}
	meet := func(step string) {
		t.Helper()
		for name, conf := range map[string]*tls.Config{
			"n1": n1.ClientConfig("127.0.0.1"), "n2": n2.ClientConfig("localhost"), "fixed": fixed, "pinned": pinned,
		} {
			for _, to := range []*member{n1, n2} {
				if got, err := to.call(t, conf); err != nil || got.err != nil {
					t.Fatalf("%s: %s to %s: %v, %v", step, name, to.name, err, got.err)
				}
			}
		}
	}
	meet("before")
	next, err := RotateAuthority(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if next.Fingerprint() == old.Fingerprint() {
		t.Fatal("want another authority")
	}
	n1.take(t, Material{CA: next.Bundle()})
	meet("n1 knows the new authority")
	n1.reissue(t, next)
	meet("n1 has a certificate of the new one")
	n2.reissue(t, next) // before it has the new authority: the other order
	meet("n2 has one too")
	if n1.Fingerprint() != n2.Fingerprint() || n1.Fingerprint() != old.Fingerprint() {
		t.Error("want both nodes to be known by the authority that all still show")
	}
	n2.take(t, Material{CA: next.Bundle()})
	meet("n2 knows the new authority")

	last, err := RetireAuthority(dir, leaf(t, n1.files.Cert), leaf(t, n2.files.Cert))
	if err != nil {
		t.Fatal(err)
	}
	n1.take(t, Material{CA: last.Bundle()})
	roots.AddCert(last.Certificate()) // it was started again meanwhile
	if pinned, err = PinnedClientConfig(last.Fingerprint(), "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	meet("n1 forgot the old authority")
	n2.take(t, Material{CA: last.Bundle()})
	meet("after")
	if n1.Fingerprint() != last.Fingerprint() {
		t.Error("want the nodes to be known by the new authority now")
	}
	if _, err := n1.call(t, clientOf(t, write(t, t.TempDir(), old, local("n3")))); err == nil {
		t.Error("want a certificate of the old authority refused in the end")
	}
}

func TestTheFolderIsAnAuthorityAtEachStepOfARotation(t *testing.T) {
	dir, old := authority(t)
	certFile, keyFile := AuthorityFiles(dir)
	oldKey, err := os.ReadFile(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	node := write(t, dir, old, local("n1"))
	next, err := RotateAuthority(dir, Options{Name: "acme", Life: day})
	if err != nil {
		t.Fatal(err)
	}
	wantText(t, next.Certificate().Subject.CommonName, "acme authority ")
	got, err := LoadAuthority(certFile, keyFile)
	if err != nil || got.Fingerprint() != next.Fingerprint() {
		t.Fatalf("want the new authority loaded, got %v", err)
	}
	if diff := cmp.Diff([]string{old.Fingerprint()}, []string{FingerprintOf(got.Older()[0])}); diff != "" || len(got.Older()) != 1 {
		t.Errorf("older authorities (-want +got):\n%s", diff)
	}
	// As if it had been interrupted between the two files.
	if err := WriteFile(keyFile, oldKey, SecretMode); err != nil {
		t.Fatal(err)
	}
	if got, err = LoadAuthority(certFile, keyFile); err != nil || got.Fingerprint() != old.Fingerprint() {
		t.Fatalf("want the old authority with its key, got %v", err)
	}
	_, err = RotateAuthority(dir, Options{})
	wantKind(t, config.Conflict, err)
	wantText(t, err.Error(), "setpoint cert rotate --retire")
	if got, err = RetireAuthority(dir, leaf(t, node.Cert)); err != nil || got.Fingerprint() != old.Fingerprint() {
		t.Fatalf("want the old authority alone again, got %v", err)
	}
	if next, err = RotateAuthority(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	wantText(t, next.Certificate().Subject.CommonName, "setpoint authority ")
	_, err = RetireAuthority(dir, leaf(t, node.Cert))
	wantKind(t, config.Conflict, err)
	wantText(t, err.Error(), "the certificate of n1", "setpoint cert rotate n1")
	_, err = RotateAuthority(t.TempDir(), Options{})
	wantKind(t, config.NotFound, err)
}

func TestABrokenNewFileLeavesTheOldInUse(t *testing.T) {
	dir, a := authority(t)
	_, other := authority(t)
	f := write(t, dir, a, local("n1"))
	good := map[string][]byte{}
	for _, file := range []string{f.Cert, f.Key, f.CA} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		good[file] = content
	}
	foreign, foreignKey, err := other.Issue(local("n1"))
	if err != nil {
		t.Fatal(err)
	}
	logged := &recorder{}
	k, err := Open(Source{Files: f, Log: slog.New(logged)})
	if err != nil {
		t.Fatal(err)
	}
	l, n2 := listen(t, k.ServerConfig()), keeper(t, write(t, t.TempDir(), a, local("n2")))
	for _, c := range []struct {
		name   string
		broken map[string][]byte
		text   string
	}{
		{"half a certificate", map[string][]byte{f.Cert: good[f.Cert][:100]}, "no PEM certificate"},
		{"no certificate", map[string][]byte{f.Cert: nil}, "cannot be read"},
		{"no key", map[string][]byte{f.Key: nil}, "cannot be read"},
		{"another's key", map[string][]byte{f.Key: foreignKey}, "does not match"},
		{"another's certificate", map[string][]byte{f.Cert: foreign, f.Key: foreignKey}, "was issued by"},
		{"no authority", map[string][]byte{f.CA: []byte("nothing")}, "no PEM certificate"},
		{"another's authority", map[string][]byte{f.CA: other.Bundle()}, "was issued by"},
	} {
		for file, content := range c.broken {
			err := os.Remove(file)
			if content != nil {
				err = WriteFile(file, content, SecretMode)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		k.Look()
		if got := logged.take(); len(got) != 1 || got[0].Level != slog.LevelError {
			t.Fatalf("%s: want one error logged, got %v", c.name, got)
		} else {
			got[0].Attrs(func(a slog.Attr) bool { wantText(t, a.Value.String(), c.text); return true })
		}
		k.Look() // nothing new: not said again
		if got, err := l.call(t, n2.ClientConfig("127.0.0.1")); err != nil || got.peer != "n2" {
			t.Errorf("%s: want the old files in use, got %v, %v", c.name, err, got)
		}
		for file, content := range good {
			if err := WriteFile(file, content, SecretMode); err != nil {
				t.Fatal(err)
			}
		}
		k.Look()
		if got := logged.take(); len(got) != 0 {
			t.Errorf("%s: want nothing said of what is as it was, got %v", c.name, got)
		}
	}
	if err := WriteNode(f, Material{Cert: good[f.Cert], Key: good[f.Key]}); err != nil {
		t.Fatal(err)
	}
	if got := mode(t, filepath.Join(f.Key)); got != 0o600 {
		t.Errorf("want the key its owner's alone, got %v", got)
	}
}

// recorder keeps what is logged.
type recorder struct{ records []slog.Record }

func (r *recorder) Enabled(context.Context, slog.Level) bool { return true }
func (r *recorder) Handle(_ context.Context, rec slog.Record) error {
	r.records = append(r.records, rec.Clone())
	return nil
}
func (r *recorder) WithAttrs([]slog.Attr) slog.Handler { return r }
func (r *recorder) WithGroup(string) slog.Handler      { return r }

func (r *recorder) take() []slog.Record {
	taken := r.records
	r.records = nil
	return taken
}
