package clusters

import (
	"path/filepath"
	"testing"

	"github.com/setpointhq/setpoint/internal/pki"
	"github.com/setpointhq/setpoint/test/program"
)

// TestCertificatesChangeUnderLoad renews certificates and then their authority,
// as the command's help says, while every node is being written through.
func TestCertificatesChangeUnderLoad(t *testing.T) {
	t.Parallel()
	h, nodes := foundedBy(t, "n1", "n2", "n3")
	program.Envs(t, nodes[0].root(), "acme/shop/prod")
	writers := map[*node]*writer{}
	for _, n := range nodes {
		writers[n] = n.writes()
	}
	all := func() {
		t.Helper()
		for _, w := range writers {
			w.more()
		}
	}
	all()

	// Each node shows its new certificate, to nodes and to clients.
	before := h.expiries(nodes)
	for _, n := range nodes {
		h.must("cert", "rotate", n.name, "--dir", h.certs, "--out", n.certs, "--life", "400d")
	}
	h.await("the new certificates to be shown", func() bool {
		now := h.expiries(nodes)
		for name, until := range before {
			if now[name] == until {
				return false
			}
		}
		return true
	})
	all()

	// A new authority: made, taken into use with a restart of each, and alone.
	h.must("cert", "rotate", "--authority", "--dir", h.certs)
	for _, n := range nodes {
		h.must("cert", "rotate", n.name, "--dir", h.certs, "--out", n.certs)
	}
	h.copy(filepath.Join(h.certs, "ca-key.pem"), filepath.Join(nodes[0].certs, "ca-key.pem"))
	all()
	h.oneByOne(nodes, writers)
	h.must("cert", "rotate", "--retire", "--dir", h.certs)
	for _, n := range nodes {
		h.copy(filepath.Join(h.certs, "ca.pem"), filepath.Join(n.certs, "ca.pem"))
	}
	h.oneByOne(nodes, writers)
	all()
	for _, w := range writers {
		w.stop()
		if w.count.Load() == 0 {
			t.Errorf("nothing was written through %s", w.node.name)
		}
	}
	certs, err := pki.ReadCertificates(filepath.Join(nodes[1].certs, "ca.pem"))
	if err != nil || len(certs) != 1 {
		t.Errorf("want one authority in the end, got %d, %v", len(certs), err)
	}

	// It lets nodes in.
	n4 := h.joins("n4", nodes[0])
	n4.ready()
	h.roles(nodes[2], voters("n1", "n2", "n3", "n4"))
}

// oneByOne restarts the nodes in turn, the leader among them. Whoever writes
// through another node notices nothing.
func (h *house) oneByOne(nodes []*node, writers map[*node]*writer) {
	h.Helper()
	for _, n := range nodes {
		writers[n].stop()
		n.stop()
		n.client = nil
		n.restart()
		writers[n] = n.writes()
		writers[n].more()
	}
}

// expiries are those of the certificates as the cluster's status tells them.
func (h *house) expiries(nodes []*node) map[string]string {
	h.Helper()
	s, err := nodes[0].root().Cluster(h.Context())
	if err != nil {
		h.Fatal(err)
	}
	all := map[string]string{}
	for _, n := range s.Nodes {
		all[n.Name] = n.CertificateExpires.String()
	}
	return all
}
