package cluster

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/freeport"
	"github.com/setpointhq/setpoint/internal/pki"
	"github.com/setpointhq/setpoint/store"
)

// badStart is a node that must not start beside a good one.
type badStart struct {
	name string
	// make changes the settings and options of n2, which is to start beside n1.
	make func(b *beside)
	kind config.ErrorKind
	want string
}

// beside is a house with one node, n1, that knows n2, and what n2 is given.
type beside struct {
	*office
	n1       *Cluster
	engine   *engine
	settings Settings
	dir      string
	options  func(*Options)
}

func (b *beside) remember(r remembered) {
	b.Helper()
	content, err := json.Marshal(r)
	if err != nil {
		b.Fatal(err)
	}
	b.write(filepath.Join(folder, identityFile), string(content))
}

func (b *beside) write(name, content string) {
	b.Helper()
	file := filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		b.Fatal(err)
	}
}

// hasData makes it look as if the engine had run.
func (b *beside) hasData() { b.write("etcd/member/wal", "") }

// formed has n1's engine say that the cluster runs, with n2 as given.
func (b *beside) formed(n2 store.Member) {
	members := []store.Member{{ID: 1, Name: "n1", Peer: b.n1.settings.Advertise, Started: true}}
	if n2.ID != 0 {
		members = append(members, n2)
	}
	b.engine = b.withEngine(b.n1, members...)
}

func besideOf(t *testing.T) *beside {
	o := newOffice(t)
	a1, a2 := freeport.For(t), freeport.For(t)
	b := &beside{office: o, dir: filepath.Join(o.dir, "data-n2"), options: func(*Options) {}}
	first := o.settings("n1", a1)
	first.Members = []string{"n1=" + a1}
	b.n1 = o.openOnly(first, filepath.Join(o.dir, "data-n1"))
	b.settings = o.settings("n2", a2)
	b.settings.Members = []string{"n1=" + a1, "n2=" + a2}
	return b
}

// reissue gives n2 another certificate.
func (b *beside) reissue(r pki.Request, from *pki.Authority) {
	b.Helper()
	cert, key, err := from.Issue(r)
	if err != nil {
		b.Fatal(err)
	}
	f := pki.Files{Cert: b.settings.CertFile, Key: b.settings.KeyFile}
	if err := pki.WriteNode(f, pki.Material{Cert: cert, Key: key}); err != nil {
		b.Fatal(err)
	}
}

func badStarts() []badStart {
	return []badStart{
		{"another cluster token", func(b *beside) { b.settings.Token = "other" }, config.Invalid,
			`start cluster.token: invalid: the node n1 at ADDR1 is of a cluster with another token than "other"; set cluster.token`},
		{"the name of another node", func(b *beside) {
			b.settings = b.office.settings("n1", b.settings.Addr)
			b.settings.Members = []string{"n1=" + b.settings.Addr, "n3=" + b.n1.settings.Addr}
		}, config.Exists, "start cluster.name: already exists: a node named n1 runs already, at ADDR1; give this one another name"},
		{"the name and the address of another node", func(b *beside) {
			b.settings.Addr, b.settings.Advertise, b.settings.Name = freeport.For(b), b.n1.settings.Advertise, "n1"
			b.settings.CertFile, b.settings.KeyFile = b.n1.settings.CertFile, b.n1.settings.KeyFile
			b.settings.Members = []string{"n1=" + b.n1.settings.Advertise, "n2=" + freeport.For(b)}
		}, config.Exists, "another node named n1 runs at ADDR1, which is this node's own address"},
		{"the address of another node", func(b *beside) {
			b.settings.Addr, b.settings.Advertise = freeport.For(b), b.n1.settings.Advertise
			b.settings.Members = []string{"n3=" + freeport.For(b), "n2=" + b.settings.Advertise}
		}, config.Invalid, "at ADDR1, the address by which others would reach this node, runs the node n1; set cluster.advertise"},
		{"an address that is taken", func(b *beside) {
			b.settings.Addr = b.n1.settings.Addr
		}, config.Unavailable, "start cluster.addr: unavailable: the address ADDR1 is in use by another process"},
		{"mixed up members", func(b *beside) {
			b.settings.Members = []string{"n3=" + b.n1.settings.Advertise, "n2=" + b.settings.Advertise}
		}, config.Invalid, "at ADDR1 runs the node n1, and not n3; mend the addresses"},
		{"a member that is this node itself", func(b *beside) {
			b.settings.Members = []string{"n1=localhost" + strings.TrimPrefix(b.settings.Advertise, "127.0.0.1"), "n2=" + b.settings.Advertise}
		}, config.Invalid, "is this node itself, which is called n2; is cluster.name right?"},
		{"not among the members", func(b *beside) {
			b.settings.Members = b.settings.Members[:1]
		}, config.Invalid, "start cluster.members: invalid: this node, n2, is not among n1=ADDR1"},
		{"a clock that is behind", func(b *beside) {
			b.options = func(o *Options) { o.Now = func() time.Time { return time.Now().Add(-11 * time.Second) } }
		}, config.Invalid, "behind that of the node n1, more than the 10s of cluster.max_clock_offset; set it, and keep it with NTP"},
		{"a clock that is ahead", func(b *beside) {
			b.options = func(o *Options) { o.Now = func() time.Time { return time.Now().Add(time.Hour) } }
		}, config.Invalid, "ahead of that of the node n1, more than the 10s"},
		{"a certificate that has expired", func(b *beside) {
			b.options = func(o *Options) { o.Now = func() time.Time { return time.Now().Add(400 * 24 * time.Hour) } }
		}, config.Invalid, "expired on "},
		{"a certificate for another name", func(b *beside) {
			b.reissue(pki.Request{Name: "n7", Hosts: []string{"127.0.0.1"}}, b.authority)
		}, config.Invalid, `is that of the node "n7", and this is "n2"`},
		{"a certificate for another host", func(b *beside) {
			b.reissue(pki.Request{Name: "n2", Hosts: []string{"192.0.2.7"}}, b.authority)
		}, config.Invalid, `is not good for "127.0.0.1", where others reach this node`},
		{"a certificate of another authority", func(b *beside) {
			b.reissue(pki.Request{Name: "n2", Hosts: []string{"127.0.0.1"}}, newOffice(b).authority)
		}, config.Invalid, "which is not in "},
		{"another authority altogether", func(b *beside) {
			members := b.settings.Members
			b.settings = newOffice(b).settings("n2", b.settings.Addr)
			b.settings.Members = members
		}, config.Invalid, "this node and the node n1 do not take each other for nodes of one cluster: its certificate, that of \"n1\", was issued by"},
		{"a name that is not allowed elsewhere", func(b *beside) {
			b.settings.AllowedNames = []string{"*.example.org"}
		}, config.Invalid, "none of that matches the allowed names"},
		{"the data directory of another node", func(b *beside) {
			b.remember(remembered{Format: DataFormat, Name: "n5", Token: defaultToken})
		}, config.Invalid, "start cluster.name: invalid: is n2, but "},
		{"the data directory of a cluster with another token", func(b *beside) {
			b.remember(remembered{Format: DataFormat, Name: "n2", Token: "prod"})
		}, config.Invalid, `is the data directory of a node of the cluster "prod"; set the token back`},
		{"the data directory of another cluster", func(b *beside) {
			b.hasData()
			b.remember(remembered{Format: DataFormat, Name: "n2", Token: defaultToken, Cluster: "beef"})
			b.formed(store.Member{ID: 2, Name: "n2", Peer: b.settings.Advertise, Started: true})
		}, config.Invalid, "is the data directory of another cluster (beef) than that of the node n1 at ADDR1 (c1)"},
		{"the data directory of another cluster, whose members it remembers", func(b *beside) {
			b.hasData()
			b.remember(remembered{Format: DataFormat, Name: "n2", Token: defaultToken, Cluster: "beef", Members: []member{{Name: "n2", ID: "2", Peer: b.settings.Advertise, Started: true}}})
			b.formed(store.Member{ID: 2, Name: "n2", Peer: b.settings.Advertise, Started: true})
		}, config.Invalid, "is the data directory of another cluster (beef) than that of the node n1 at ADDR1 (c1)"},
		{"the data directory of an edge", func(b *beside) {
			b.remember(remembered{Format: DataFormat, Name: "n2", Token: defaultToken, Edge: true})
		}, config.Invalid, "is the data directory of an edge"},
		{"data in a newer format", func(b *beside) {
			b.remember(remembered{Format: DataFormat + 1, Version: "9.0.0", Name: "n2", Token: defaultToken})
		}, config.Invalid, "its data was written by Setpoint 9.0.0, in a newer format (2) than this program knows (1)"},
		{"a damaged memory", func(b *beside) {
			b.write(filepath.Join(folder, identityFile), `{"name": "n2", `)
		}, config.Invalid, "what this node knows of its cluster is damaged"},
		{"an engine whose data is gone", func(b *beside) {
			b.remember(remembered{Format: DataFormat, Name: "n2", Token: defaultToken, Cluster: "c1"})
		}, config.Conflict, "this node has run as n2, but the engine's data is gone; it must not come back empty under its old name"},
		{"a member that comes back empty", func(b *beside) {
			b.formed(store.Member{ID: 2, Name: "n2", Peer: b.settings.Advertise, Started: true})
		}, config.Conflict, "the cluster knows n2 as a member that has run before, but the data directory is empty"},
		{"a name that a member has elsewhere", func(b *beside) {
			b.formed(store.Member{ID: 2, Name: "n2", Peer: "192.0.2.1:7403", Started: true})
		}, config.Exists, "a member named n2 is in the cluster already, at 192.0.2.1:7403"},
		{"an address that the cluster knows by another name", func(b *beside) {
			b.formed(store.Member{ID: 2, Name: "n6", Peer: b.settings.Advertise, Started: true})
		}, config.Exists, "as n6, and not as n2; set the name back"},
		{"a cluster that was founded without it", func(b *beside) {
			b.formed(store.Member{})
		}, config.Conflict, "the cluster was founded without n2; let it join: make a token with 'setpoint cluster add'"},
		{"a member that was removed", func(b *beside) {
			b.hasData()
			b.formed(store.Member{})
		}, config.Conflict, "n2 is no member of the cluster any more: it was removed"},
		{"nobody there", func(b *beside) {
			b.settings.StartWait = time.Second
			b.settings.Members = []string{"n1=" + freeport.For(b), "n2=" + b.settings.Advertise}
		}, config.Timeout, "start: timeout: cluster.start_wait is over: 1 of 2 nodes are missing: n1 at "},
		{"a token that is none", func(b *beside) {
			b.settings.Join, b.settings.JoinToken = []string{"h1:7403"}, config.NewSecret("spj_hunter2")
		}, config.Invalid, "this is no join token"},
		{"no way to a certificate", func(b *beside) {
			b.settings = bare("n2", b.settings.Addr)
			b.settings.Join = []string{b.n1.settings.Advertise}
		}, config.Invalid, "start cluster.join_token: invalid: is missing; this node has no certificate yet"},
	}
}

func TestBadStartsAreRefusedWithWhatHelps(t *testing.T) {
	t.Parallel()
	for _, tc := range badStarts() {
		t.Run(tc.name, func(t *testing.T) {
			b := besideOf(t)
			tc.make(b)
			c, err := b.tryOpen(b.settings, b.dir, b.options)
			if err == nil {
				c.Close()
				t.Fatal("want an error")
			}
			want := strings.ReplaceAll(tc.want, "ADDR1", b.n1.settings.Advertise)
			if !strings.Contains(err.Error(), want) || config.KindOf(err) != tc.kind {
				t.Errorf("want %s: %q\ngot  %v", tc.kind, want, err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("the error tells a secret")
			}
		})
	}
}

func TestGoodStarts(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(b *beside){
		"beside another founder": func(*beside) {},
		"as a founder that is late": func(b *beside) {
			b.formed(store.Member{ID: 2, Name: "n2", Peer: b.settings.Advertise})
		},
		"with data, while nobody else is there": func(b *beside) {
			b.hasData()
			b.settings.Members = []string{"n1=" + freeport.For(b), "n2=" + b.settings.Advertise}
		},
		"with data, at another address": func(b *beside) {
			b.hasData()
			b.formed(store.Member{ID: 2, Name: "n2", Peer: freeport.For(b), Started: true})
		},
		"with the name that it had": func(b *beside) {
			b.hasData()
			b.remember(remembered{Format: DataFormat, Name: "n2", Token: defaultToken, Cluster: "c1"})
			b.formed(store.Member{ID: 2, Name: "n2", Peer: b.settings.Advertise, Started: true})
		},
		"with settings that name nodes of long ago": func(b *beside) {
			b.hasData()
			b.remember(remembered{Format: DataFormat, Name: "n2", Token: defaultToken, Cluster: "c1", Members: []member{{Name: "n2", ID: "2", Peer: b.settings.Advertise, Started: true}}})
			b.formed(store.Member{ID: 2, Name: "n2", Peer: b.settings.Advertise, Started: true})
			b.settings.Members = []string{"n9=" + b.n1.settings.Advertise, "n8=" + freeport.For(b), "n2=" + b.settings.Advertise}
		},
		"with a clock that is a little off": func(b *beside) {
			b.options = func(o *Options) { o.Now = func() time.Time { return time.Now().Add(-9 * time.Second) } }
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := besideOf(t)
			prepare(b)
			c := b.openOnly(b.settings, b.dir, b.options)
			p := c.Peering()
			if p.Name != "n2" || p.Advertise != b.settings.Advertise || p.Port == nil || p.Edge || p.Join || p.Members["n2"] != b.settings.Advertise {
				t.Errorf("got %+v", p)
			}
		})
	}
}

func TestDataOfALoneNodeIsNotTakenForThatOfACluster(t *testing.T) {
	t.Parallel()
	b := besideOf(t)
	b.hasData()
	b.formed(store.Member{ID: 2, Name: "n2", Peer: b.settings.Advertise})
	c := b.openOnly(b.settings, b.dir)
	b.withEngine(c, store.Member{ID: 2, Name: "n2", Peer: b.settings.Advertise, Started: true}).status.ClusterID = 0xbeef
	err := c.Run(t.Context())
	want := "is the data directory of another cluster (beef) than that of the node n1 at " + b.n1.settings.Advertise + " (c1), which was founded without it"
	if config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), want) {
		t.Errorf("want %q, got %v", want, err)
	}
}
