package clusters

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/etcd"
	"github.com/setpointhq/setpoint/store/storetest/etcdproc"
	"github.com/setpointhq/setpoint/test/program"
)

// layout makes data that nobody uses say that it is laid out in some format.
func layout(t *testing.T, dataDir, format string) {
	t.Helper()
	var settings etcd.Settings
	settings.Defaults()
	settings.UnsafeNoFsync = true
	s, err := settings.Open(t.Context(), store.Env{DataDir: dataDir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Commit(t.Context(), store.Txn{Writes: []store.Write{{Key: record.FormatKey, Value: []byte(format)}}}); err != nil {
		t.Fatal(err)
	}
}

func selfSigned(t *testing.T) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "n1"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestNodesShareAnExternalEngine has several nodes that know nothing of each other
// serve from one etcd of somebody else's, and seal one audit together.
func TestNodesShareAnExternalEngine(t *testing.T) {
	t.Parallel()
	p := etcdproc.Start(t, "--max-txn-ops=10000", "--max-request-bytes=67108864")
	h := newHouse(t)
	var nodes []*node
	for _, name := range []string{"n1", "n2", "n3"} {
		n := h.node(name)
		h.must("cert", "issue", name, "--dir", h.certs)
		n.process.Args = []string{"serve"}
		n.set("CLUSTER_NAME="+name, "STORE_ETCD_ENDPOINTS="+p.Endpoint, "STORE_ETCD_CA_FILE="+p.CAFile, "STORE_ETCD_CERT_FILE="+p.CertFile,
			"STORE_ETCD_KEY_FILE="+p.KeyFile, "TLS_CERT_FILE="+h.certs+"/"+name+".pem", "TLS_KEY_FILE="+h.certs+"/"+name+"-key.pem")
		n.launch()
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		n.ready()
	}
	h.login(nodes...)
	program.Envs(t, nodes[0].root(), "acme/shop/prod")
	const each = 30
	var writing sync.WaitGroup
	for _, n := range nodes {
		c := n.root()
		at := program.Path(t, "acme/shop/prod/of-"+n.name+".yaml")
		writing.Go(func() {
			for i := range each {
				if _, err := c.Publish(h.Context(), client.Publish{Items: []client.PublishItem{{Path: at, Content: fmt.Appendf(nil, "n: %d\n", i)}}}); err != nil {
					t.Errorf("publish through %s: %v", n.name, err)
				}
			}
		})
	}
	writing.Wait()
	set := nodes[2].write(app, "v: 1\n")
	for _, n := range nodes {
		n.reads(app, "v: 1\n", set.Revision)
	}

	// The one that seals goes; another one takes its place.
	nodes[0].stop()
	nodes[1].write(app, "v: 2\n")
	h.await("everything to be sealed", func() bool {
		v, err := nodes[2].root().VerifyAudit(h.Context(), client.AuditSeal{})
		return err == nil && v.Intact && v.Unsealed == 0 && v.Verified > 3*each
	})
	records, err := program.Collect(nodes[1].root().Audit(h.Context(), "acme", client.AuditFilter{Action: "config.publish"}))
	if err != nil || len(records) != 3*each+2 {
		t.Errorf("want %d publishes in the audit, each once, got %d, %v", 3*each+2, len(records), err)
	}
	for _, n := range nodes {
		if strings.Contains(n.process.Log(), "does not go along") {
			t.Errorf("want nothing in the log of %s about room, which is the engine's own affair", n.name)
		}
	}
}
