package etcd

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/plugin"
	"github.com/setpointhq/setpoint/store"
)

// Settings of the etcd store. Without Endpoints the engine runs in this process
// and keeps its data in DataDir; with them it is a cluster that somebody else
// runs, and the fields of the embedded engine mean nothing.
type Settings struct {
	Prefix          string        `yaml:"prefix" doc:"what every key in etcd begins with; on a shared cluster the user needs read and write permission on it"`
	MaxTxnOps       int           `yaml:"max_txn_ops" doc:"largest number of writes, and of conditions, in one transaction; an external cluster must allow as many (--max-txn-ops)"`
	MaxRequestBytes plugin.Size   `yaml:"max_request_bytes" doc:"largest transaction; an external cluster must allow as much (--max-request-bytes)"`
	RequestTimeout  time.Duration `yaml:"request_timeout" doc:"how long one read or write may wait for etcd before it fails as unavailable"`

	DataDir             string        `yaml:"data_dir" doc:"embedded: folder of the engine's data; empty means etcd/ in the node's data folder"`
	Name                string        `yaml:"name" doc:"embedded: the engine's name on a node of its own; in a cluster it is the node's"`
	Quota               plugin.Size   `yaml:"quota" doc:"embedded: size of the data at which the engine refuses writes until this is raised, or old history goes"`
	CompactionRetention time.Duration `yaml:"compaction_retention" doc:"embedded: how long history is kept for watchers that resume; older is compacted"`
	SnapshotCount       int           `yaml:"snapshot_count" doc:"embedded: log entries between two snapshots; more of them take longer to replay at start"`
	StartTimeout        time.Duration `yaml:"start_timeout" doc:"embedded: how long to wait for the engine to be ready before giving up"`
	UnsafeNoFsync       bool          `yaml:"unsafe_no_fsync" doc:"embedded: never flush to disk; loses acknowledged data in a crash: for throw-away data only"`

	Endpoints   []string      `yaml:"endpoints" doc:"external: URLs of the cluster's members, such as https://etcd-1:2379; empty means embedded"`
	Username    string        `yaml:"username" doc:"external: user name, where the cluster asks for one"`
	Password    config.Secret `yaml:"password" doc:"external: the user's password"`
	CAFile      string        `yaml:"ca_file" doc:"external: PEM file with the authorities that may vouch for the cluster; empty means the system's"`
	CertFile    string        `yaml:"cert_file" doc:"external: PEM file with this node's client certificate; read again for each connection"`
	KeyFile     string        `yaml:"key_file" doc:"external: PEM file with the client certificate's key"`
	DialTimeout time.Duration `yaml:"dial_timeout" doc:"external: how long to wait for the cluster's first answer, and for a login"`
}

// Defaults fills every field.
func (c *Settings) Defaults() {
	*c = Settings{
		Prefix:              "/setpoint/",
		MaxTxnOps:           10_000,
		MaxRequestBytes:     64 * plugin.MiB,
		RequestTimeout:      10 * time.Second,
		Name:                "setpoint",
		Quota:               8 * plugin.GiB,
		CompactionRetention: time.Hour,
		SnapshotCount:       2_000,
		StartTimeout:        time.Minute,
		DialTimeout:         10 * time.Second,
	}
}

// Validate reports every setting that cannot work.
func (c *Settings) Validate() error {
	var all []error
	refuse := func(bad bool, key, format string, args ...any) {
		if bad {
			all = append(all, config.Errorf(config.Invalid, "settings", key, format, args...))
		}
	}
	refuse(c.MaxTxnOps < 2, "max_txn_ops", "must be at least 2, is %d", c.MaxTxnOps)
	refuse(c.MaxRequestBytes < plugin.KiB || c.MaxRequestBytes > plugin.GiB, "max_request_bytes", "must be between 1KiB and 1GiB, is %s", c.MaxRequestBytes)
	refuse(c.RequestTimeout <= 0, "request_timeout", "must be positive, is %s", c.RequestTimeout)
	if len(c.Endpoints) == 0 {
		refuse(c.Name == "", "name", "must not be empty")
		refuse(c.Quota < 16*plugin.MiB, "quota", "must be at least 16MiB, is %s", c.Quota)
		refuse(c.CompactionRetention < time.Minute, "compaction_retention", "must be at least 1m, is %s", c.CompactionRetention)
		refuse(c.SnapshotCount < 100, "snapshot_count", "must be at least 100, is %d", c.SnapshotCount)
		refuse(c.StartTimeout <= 0, "start_timeout", "must be positive, is %s", c.StartTimeout)
		refuse(c.Username != "", "username", "is only for an external cluster; name its endpoints")
		return errors.Join(all...)
	}
	for _, e := range c.Endpoints {
		u, err := url.Parse(e)
		refuse(err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil, "endpoints",
			"must be URLs such as https://etcd-1:2379, without user or password; entry %d is not", len(all)+1)
	}
	refuse(c.DialTimeout <= 0, "dial_timeout", "must be positive, is %s", c.DialTimeout)
	refuse((c.Username == "") != c.Password.Empty(), "password", "user name and password must be given together")
	refuse((c.CertFile == "") != (c.KeyFile == ""), "key_file", "cert_file and key_file must be given together")
	return errors.Join(all...)
}

// Open starts the embedded engine, or connects to the external cluster, and
// returns when it can serve.
func (c *Settings) Open(ctx context.Context, env store.Env) (store.Store, error) {
	s, err := c.open(ctx, env)
	if err != nil {
		return nil, err // and not a non-nil interface around a nil *Store
	}
	return s, nil
}

func (c *Settings) open(ctx context.Context, env store.Env) (*Store, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	settings := *c
	log := cmp.Or(env.Log, slog.Default()).With("part", "etcd")
	if len(settings.Endpoints) > 0 {
		if env.Peering != nil {
			return nil, config.Errorf(config.Invalid, "settings", "endpoints", "name a cluster of etcd's own, which nodes share without meeting each other; leave out the settings under cluster, or these")
		}
		return connect(ctx, settings, log)
	}
	if env.Peering != nil && env.Peering.Edge {
		return edge(ctx, settings, env.Peering, log)
	}
	if settings.DataDir == "" && env.DataDir == "" {
		return nil, config.Errorf(config.Invalid, "settings", "data_dir", "must name a folder, because the node has none")
	}
	settings.DataDir = settings.folder(env.DataDir)
	if err := os.MkdirAll(settings.DataDir, 0o700); err != nil {
		return nil, &config.Error{Op: "open the store", Kind: config.Unavailable, Path: settings.DataDir, Err: err}
	}
	return embedded(ctx, settings, env.Peering, log)
}

// folder is where the embedded engine of a node keeps its data.
func (c *Settings) folder(nodeDir string) string {
	return cmp.Or(c.DataDir, filepath.Join(nodeDir, "etcd"))
}

// HasData implements store.Local.
func (c *Settings) HasData(dataDir string) bool {
	return len(c.Endpoints) == 0 && hasData(c.folder(dataDir))
}

var (
	_ store.Driver = (*Settings)(nil)
	_ store.Local  = (*Settings)(nil)
)
