package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/cache"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/format"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/internal/view"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/store"
)

// open opens the parts of the node in the order of their dependencies. Whatever
// it opened, close ends, also after an error.
func (n *node) open(ctx context.Context) error {
	if err := n.openPorts(ctx); err != nil {
		return err
	}
	peering, err := n.openCluster(ctx)
	if err != nil {
		return err
	}
	if err := n.openHTTP(peering); err != nil {
		return err
	}
	if err := n.openStore(ctx, peering); err != nil {
		return err
	}
	contents, err := n.openCache(ctx)
	if err != nil {
		return err
	}
	n.view = view.New(view.Options{Store: n.store, Cache: contents, Log: n.log.With("part", "view")})
	directory := center.NewDirectory(n.log)
	n.view.Tail(directory.Sections(), directory.Apply)
	chain, passwords, authorizer, err := n.openAuth(ctx, auth.Env{Directory: directory, Log: n.log.With("part", "auth"), Now: n.options.Now})
	if err != nil {
		return err
	}
	if err := n.prepare(ctx, passwords); err != nil {
		return err
	}
	formats, err := n.openFormats()
	if err != nil {
		return err
	}
	sinks, err := n.openSinks(ctx)
	if err != nil {
		return err
	}
	n.center = center.New(n.abilities(center.Options{
		Sinks: sinks, Store: n.store, View: n.view, Formats: formats, Directory: directory, Now: n.options.Now, Renewers: chain.Renewers(),
		Authorizer: authorizer, Passwords: passwords, Limits: n.settings.Limits, Spool: n.settings.DataDir, Log: n.log.With("part", "center"),
	}))
	n.background("collector", paceCollector)
	n.background("view", n.view.Run)
	n.background("center", n.center.Run)
	n.background("backups", n.runBackups)
	n.attachCluster()
	n.measure()
	n.measureBackups()
	n.measureCluster()
	return n.openProtocols(ctx, chain, formats)
}

// openPorts takes the data directory and the addresses, so that what is taken
// already is told first, and answers health from then on.
func (n *node) openPorts(ctx context.Context) error {
	lock, err := lockDataDir(n.settings)
	if err != nil {
		return err
	}
	n.onClose("lock", lock.Close)
	n.health.checks = []check{
		{name: "state", holds: n.state.holds},
		{name: "store", holds: n.storeHolds},
		{name: "view", holds: n.viewHolds},
		{name: "quorum", holds: n.quorumHolds, advisory: true},
	}
	if n.settings.Admin.Addr != "" {
		if n.admin, err = openAdmin(ctx, n.settings.Admin, n.log); err != nil {
			return err
		}
		n.admin.handler.set(adminHandler(&n.health, n.metrics))
		n.serve("admin port", n.admin)
	}
	if n.http, err = openHTTP(ctx, "http.addr", n.settings.HTTP, n.settings.TLS.Enabled, n.log); err != nil {
		return err
	}
	n.onClose("http port", n.http.release)
	return nil
}

// openHTTP answers on the HTTP port from now on. Its certificate may be the one
// that the node got when it joined its cluster.
func (n *node) openHTTP(peering *store.Peering) (err error) {
	if n.settings.TLS.Enabled {
		if n.certificate, err = openCertificate(n.settings, peering, n.log); err != nil {
			return err
		}
		if n.http.tls, err = n.tlsConfig(n.settings.TLS, n.certificate); err != nil {
			return err
		}
		n.background("certificate", n.certificate.Run)
	}
	n.http.handler.set(unready(&n.health))
	n.serve("http port", n.http)
	return nil
}

func (n *node) openStore(ctx context.Context, peering *store.Peering) error {
	chosen := n.settings.Store.Chosen()[0]
	log := n.log.With("part", "store")
	opened, err := chosen.Settings.Open(ctx, store.Env{Log: log, DataDir: n.settings.DataDir, Peering: peering})
	if err != nil {
		return err
	}
	n.onClose("store", opened.Close)
	n.store = &meteredStore{Store: opened, metrics: n.metrics}
	n.engine = opened
	n.metrics.sizes(opened)
	if engine, ok := opened.(store.Liveness); ok {
		n.background("store", func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return nil
			case <-engine.Done():
				close(n.storeDown)
				if err := engine.Err(); err != nil {
					return fmt.Errorf("the engine stopped: %w", err)
				}
				return errors.New("the engine stopped")
			}
		})
	}
	return nil
}

func (n *node) openCache(ctx context.Context) (cache.Cache, error) {
	opened, err := n.settings.Cache.Chosen()[0].Settings.Open(ctx, cache.Env{Log: n.log.With("part", "cache")})
	if err == nil {
		n.onClose("cache", opened.Close)
	}
	return opened, err
}

// openAuth opens what proves identities, finds among it what hashes passwords,
// and opens what decides.
func (n *node) openAuth(ctx context.Context, env auth.Env) (chain auth.Chain, passwords auth.PasswordHasher, authorizer auth.Authorizer, err error) {
	for _, chosen := range n.settings.Auth.Chosen() {
		a, err := chosen.Settings.Open(ctx, env)
		if err != nil {
			return nil, nil, nil, err
		}
		if err := n.certified.add(chosen.Name, a, n.settings.TLS.Enabled); err != nil {
			return nil, nil, nil, err
		}
		if closer, ok := a.(io.Closer); ok {
			n.onClose("auth "+chosen.Name, closer.Close)
		}
		chain = append(chain, a)
		if hasher, ok := a.(auth.PasswordHasher); ok && passwords == nil {
			passwords = hasher
		}
	}
	if passwords == nil {
		return nil, nil, nil, config.Errorf(config.Invalid, "start", "auth", "none of the drivers keeps passwords, which the user admin needs; add basic")
	}
	if err := chain.CheckProviders(); err != nil {
		return nil, nil, nil, err
	}
	authorizer, err = n.settings.Authorization.Chosen()[0].Settings.Open(ctx, env)
	return chain, passwords, authorizer, err
}

// prepare makes the user admin at the first start, or renews its password.
func (n *node) prepare(ctx context.Context, passwords auth.PasswordHasher) error {
	if err := center.CheckFormat(ctx, n.store); err != nil {
		return err
	}
	password, created, err := center.Bootstrap(ctx, n.store, passwords, n.options.InitialPassword, n.options.Now())
	if err == nil && !created && n.options.ResetAdmin {
		password, err = center.ResetAdmin(ctx, n.store, passwords, n.options.InitialPassword, n.options.Now())
		created = err == nil
	}
	if err != nil || !created {
		return err
	}
	n.log.Info("the user admin has a new password", "user", center.AdminUser)
	if n.options.AdminPassword == nil || !n.options.InitialPassword.Empty() {
		return nil
	}
	return n.options.AdminPassword(password)
}

func (n *node) openFormats() (*format.Set, error) {
	var all []format.Format
	for _, name := range n.settings.Formats {
		factory, err := n.settings.drivers.Formats.Get(name)
		if err != nil {
			return nil, err
		}
		all = append(all, factory())
	}
	return format.NewSet(all...), nil
}

// openSinks opens what is told of the audit.
func (n *node) openSinks(ctx context.Context) ([]center.AuditSink, error) {
	var sinks []center.AuditSink
	for _, chosen := range n.settings.Audit.Chosen() {
		opened, err := chosen.Settings.Open(ctx, audit.Env{
			Log: n.log.With("part", "audit", "sink", chosen.Name), Now: n.options.Now,
			Node: n.name(), DataDir: n.settings.DataDir, Version: n.options.Version,
		})
		if err != nil {
			return nil, err
		}
		n.onClose("audit sink "+chosen.Name, opened.Close)
		sinks = append(sinks, center.AuditSink{Name: chosen.Name, Sink: opened})
	}
	return sinks, nil
}

// openProtocols opens what speaks to clients, and lets it answer on the HTTP port.
func (n *node) openProtocols(ctx context.Context, chain auth.Chain, formats *format.Set) error {
	var mux protocol.Mux
	n.health.register(mux.Handle)
	host := protocol.Host{
		Center: n.center, Auth: chain, Observer: n.metrics, Version: n.options.Version, Draining: n.draining,
		MediaType: func(name string) string {
			if f, err := formats.Get(name); err == nil {
				return f.MediaType()
			}
			return ""
		},
		TLS: n.http.tls, Secure: n.secure, Listen: n.listen, Ready: n.health.isReady,
	}
	n.onClose("protocols", n.closeProtocols) // those too that were open when one could not be opened
	for _, chosen := range n.settings.Protocols.Chosen() {
		host.Log = n.log.With("part", chosen.Name)
		host.Fail = func(err error) { n.fail("protocol "+chosen.Name, err) }
		host.HTTP = mux.Handle
		_, itself := chosen.Settings.(protocol.SelfServer)
		if ported, ok := chosen.Settings.(protocol.Ported); ok && !itself && ported.OwnPort().Addr != "" {
			own, err := n.openApart(ctx, chosen.Name, ported.OwnPort())
			if err != nil {
				return err
			}
			host.HTTP = own.served.Handle
		}
		p, err := chosen.Settings.Open(ctx, host)
		if err != nil {
			return err
		}
		n.protocols = append(n.protocols, p)
	}
	n.served = &mux
	return nil
}

// measure registers what is asked of the parts at each scrape.
func (n *node) measure() {
	m, v := n.metrics, n.view
	m.gauge("view_revision", "Revision that this node serves.", func() float64 { return float64(v.Stats().Revision) })
	m.gauge("view_lag_revisions", "Revisions that the store has and this node does not serve yet.", n.lag)
	m.gauge("view_waiting_batches", "Batches that were waiting when the last ones were applied.", func() float64 { return float64(v.Stats().Waiting) })
	m.gauge("view_apply_seconds", "Time that the last batches took to apply, wake-ups included.", func() float64 { return v.Stats().ApplyTime.Seconds() })
	m.gauge("view_configs", "Configs, without deleted ones.", func() float64 { return float64(v.Stats().Configs) })
	m.gauge("view_subscribers", "Subscriptions on this node.", func() float64 { return float64(v.Stats().Subscribers) })
	m.counter("view_rebuilds_total", "Times that the view was loaded anew.", func() float64 { return float64(v.Stats().Rebuilds) })
	m.counter("view_faults_total", "Times that the log of the store broke off.", func() float64 { return float64(v.Stats().Faults) })
	m.gauge("view_corrupt_records", "Records that could not be read.", func() float64 { return float64(v.Stats().Corrupt) })
	m.gauge("ready", "1 if the node is ready, 0 if not.", func() float64 {
		if n.health.isReady() {
			return 1
		}
		return 0
	})
}

// lag asks this node's engine where it is.
func (n *node) lag() float64 {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	page, err := n.store.Range(ctx, store.Query{Key: record.ClusterKey, KeysOnly: true, Stale: true})
	if err != nil {
		return 0
	}
	return float64(max(0, page.Revision-n.view.Stats().Revision))
}

// storeHolds is the readiness check of the store.
func (n *node) storeHolds() string {
	select {
	case <-n.storeDown:
		return "the store's engine stopped"
	default:
		return ""
	}
}

// viewHolds is the readiness check of the view. A view that does not follow the
// store at the moment serves all the same.
func (n *node) viewHolds() string {
	if n.loaded.Load() == nil {
		return "it is being loaded"
	}
	return ""
}
