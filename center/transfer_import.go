package center

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/backup"
	"github.com/setpointhq/setpoint/internal/disk"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

// ImportTenant asks for a tenant to be made of an export.
type ImportTenant struct {
	From io.Reader // what ExportTenant wrote
	// As is the name that it gets; empty means the one that it had.
	As string
	// Discard removes, for good, what a deleted tenant of the name has left:
	// deleted configs with their history. Without it that is in the way.
	Discard bool
}

// TenantImport is what an import made.
type TenantImport struct {
	Tenant config.Tenant `json:"tenant"`
	// Installation is the id of the one that it was exported from, Name what it
	// was called there, and Exported when that was.
	Installation string         `json:"installation"`
	Name         string         `json:"name"`
	Exported     time.Time      `json:"exported"`
	Contents     TenantContents `json:"contents"`
}

const (
	opImport = "tenant.import"

	// spoolSpare is what the copy of a file leaves free of the disk, in bytes: the
	// engine's data may lie there, and comes first. It also leaves half of it.
	spoolSpare = 512 << 20
	// claimTries bounds how often a name is claimed while others do the same.
	claimTries = 8
)

// ImportTenant makes a tenant of an export, with its whole history: versions,
// times and authors are those that were. All of the file is checked before
// anything is written. Then it is written bit by bit, and the tenant is there
// for others, whole, only with the last bit. An import that was broken off can
// be repeated, or removed by DeleteTenant; of two at once the later one goes on.
//
// The errors: Exists if there is a tenant of the name; Invalid, TooLarge,
// Exhausted and Unsupported, which name the record, if the file is no good here;
// Conflict if another import or DeleteTenant took over.
func (c *Center) ImportTenant(ctx context.Context, r ImportTenant) (TenantImport, error) {
	if _, err := c.authorize(ctx, opImport, auth.Manage, config.Path{}); err != nil {
		return TenantImport{}, err
	}
	if r.From == nil {
		return TenantImport{}, config.Errorf(config.Invalid, opImport, "", "there is no file to import")
	}
	if r.As != "" {
		if err := (config.Path{Tenant: r.As}).Require(config.LevelTenant); err != nil {
			return TenantImport{}, located(opImport, r.As, err)
		}
	}
	select {
	case c.importing <- struct{}{}:
		defer func() { <-c.importing }()
	default:
		return TenantImport{}, config.Errorf(config.Throttled, opImport, "", "this node is importing a tenant already; wait for its end, or ask another node")
	}
	begun := time.Now()
	file, err := c.spoolFile()
	if err != nil {
		return TenantImport{}, err
	}
	defer file.close()
	i := tenantImport{center: c, request: r, file: file}
	if err := i.check(ctx); err != nil {
		return TenantImport{}, importError(i.name, err)
	}
	revision, err := i.write(ctx)
	if err != nil {
		c.log.WarnContext(ctx, "the import of a tenant was not finished", "tenant", i.name, "error", err)
		return TenantImport{}, importError(i.name, err)
	}
	c.settle(ctx, revision)
	c.log.InfoContext(ctx, "a tenant was imported", "tenant", i.name, "from", i.header.Installation,
		"configs", i.contents.Configs, "releases", i.contents.Releases, "took", time.Since(begun).Round(time.Millisecond))
	done := TenantImport{Tenant: i.tenant, Installation: i.header.Installation, Name: i.header.Tenant, Exported: i.header.Created, Contents: i.contents}
	done.Tenant.Revision = c.token(revision)
	return done, nil
}

// importError says that it was an import, and of what. Where the file could not
// be read, the reason is what the reader said.
func importError(tenant string, err error) error {
	whole := *config.AsError(err)
	for cause := (*config.Error)(nil); errors.As(whole.Err, &cause); {
		whole.Err = cause.Err
	}
	whole.Op = opImport
	return located(opImport, tenant, &whole)
}

// tenantImport is one import.
type tenantImport struct {
	center   *Center
	request  ImportTenant
	file     *spooled
	header   backup.Header
	name     string        // that the tenant gets
	digest   string        // of the file
	tenant   config.Tenant // as it will be
	contents TenantContents
	launches movedLaunches
}

// check reads all of the file, keeps it, and refuses what is no good.
func (i *tenantImport) check(ctx context.Context) error {
	in := io.TeeReader(interruptible{ctx, i.request.From}, i.file)
	header, envelope, err := backup.OpenTenant(in)
	if err != nil {
		return err
	}
	i.header, i.name = header, cmp.Or(i.request.As, header.Tenant)
	if err := (config.Path{Tenant: header.Tenant}).Require(config.LevelTenant); err != nil {
		return err
	}
	if _, err := i.vacant(ctx); err != nil { // before much is read for nothing
		return err
	}
	m := i.center.newMovedTenant(header.Tenant)
	if err := m.check(i.records(envelope)); err != nil {
		// What is odd about a record of a damaged file is the damage.
		if _, damage := io.Copy(io.Discard, envelope); config.KindOf(damage) == config.Invalid && damage != nil {
			return damage
		}
		return err
	}
	i.digest = hex.EncodeToString(i.file.sum.Sum(nil))
	i.tenant, i.contents, i.launches = m.tenant, m.contents, m.launches
	i.tenant.Name = i.name
	return nil
}

func (i *tenantImport) records(envelope *backup.Reader) *backup.Records {
	l := i.center.limits
	return backup.ReadRecords(envelope, int64(l.ConfigSize), int64(l.TenantSize))
}

// vacant makes sure that the name is free, and returns what an earlier attempt
// has left under it.
func (i *tenantImport) vacant(ctx context.Context) (store.Entry, error) {
	page, err := i.center.store.Range(ctx, store.Query{Key: record.Tenants.Key(i.name)})
	if err != nil {
		return store.Entry{}, err
	}
	if len(page.Entries) > 0 {
		entry := page.Entries[0]
		noun, err := record.Decode[record.Tenant](entry.Value)
		if err == nil && noun.Import == nil {
			err = config.Errorf(config.Exists, "", i.name, "there is a tenant of this name already; import it under another one (--as)")
		}
		return entry, err
	}
	if i.request.Discard {
		return store.Entry{}, nil
	}
	for _, s := range tenantSections() {
		page, err := i.center.store.Range(ctx, store.Query{Key: s.Under(config.Path{Tenant: i.name}), Prefix: true, KeysOnly: true, Limit: 1})
		if err != nil {
			return store.Entry{}, err
		}
		for _, e := range page.Entries {
			_, rest := record.Split(e.Key)
			return store.Entry{}, config.Errorf(config.Conflict, "", i.name,
				"a deleted tenant of this name has left the history of deleted configs, such as %s: import under another name (--as), or have that removed for good (--discard)", rest)
		}
	}
	return store.Entry{}, nil
}

// tenantSections are those in which a tenant has entries beside its own and its
// audit records, which are never deleted.
func tenantSections() []record.Section {
	return []record.Section{record.Apps, record.Envs, record.Configs, record.Rollouts, record.Launches, record.Drafts, record.Releases, record.Contents}
}

// importUnderWay reads a tenant that is being imported, and its revision. The
// error is NotFound if it is.
func (c *Center) importUnderWay(ctx context.Context, tenant string) (noun record.Tenant, revision int64, err error) {
	if tenant == "" {
		return noun, 0, nil
	}
	page, err := c.store.Range(ctx, store.Query{Key: record.Tenants.Key(tenant)})
	if err != nil || len(page.Entries) == 0 {
		return noun, 0, err
	}
	if noun, err = record.Decode[record.Tenant](page.Entries[0].Value); err != nil {
		return record.Tenant{}, 0, nil //nolint:nilerr // what cannot be read is no import
	}
	if noun.Import != nil {
		err = errImporting("", tenant)
	}
	return noun, page.Entries[0].Revision, err
}

// errImported says why a tenant cannot be created.
func errImported(op, tenant string) error {
	return config.Errorf(config.Exists, op, tenant,
		"an import of a tenant of this name is under way, or was broken off: repeat it, or remove what there is with 'setpoint tenant rm %s'", tenant)
}

// spooled is a file in which an import keeps what it reads, so that nothing is
// written to the store before all of it was seen.
type spooled struct {
	*os.File
	sum  hash.Hash
	left int64 // that may still be written
	dir  string
}

// spoolFile makes an empty one. Where the system allows, it has no name any
// more: whatever happens to the process, it goes with it.
func (c *Center) spoolFile() (*spooled, error) {
	dir := cmp.Or(c.spool, os.TempDir())
	left := int64(c.limits.TenantSize)
	if free, _, err := disk.Space(dir); err == nil {
		left = min(left, free-max(free/2, spoolSpare))
	}
	f, err := os.CreateTemp(dir, ".setpoint-import-*")
	if err != nil {
		return nil, config.Errorf(config.Unavailable, opImport, "", "a file for what is imported cannot be made: %w", err)
	}
	if runtime.GOOS != "windows" {
		_ = os.Remove(f.Name()) // close tries again
	}
	return &spooled{File: f, sum: sha256.New(), left: left, dir: dir}, nil
}

// Write implements io.Writer.
func (s *spooled) Write(b []byte) (int, error) {
	if s.left -= int64(len(b)); s.left < 0 {
		return 0, config.Errorf(config.Exhausted, "", "", "the file is larger than this node has room for in %s, or than the limit tenant_size allows", s.dir)
	}
	s.sum.Write(b)
	return s.File.Write(b)
}

func (s *spooled) close() {
	_ = s.Close()
	_ = os.Remove(s.Name()) // mostly it has no name any more
}

// interruptible is a reader that ends with ctx, and whose errors have a kind.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (r interruptible) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.r.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		var known *config.Error
		if !errors.As(err, &known) {
			// Not wrapped: an io.ErrUnexpectedEOF would be taken for the end of the file.
			err = config.Errorf(config.Canceled, "", "", "the file was not read to its end: %s", err)
		}
	}
	return n, err
}
