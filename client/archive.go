package client

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"github.com/setpointhq/setpoint/config"
)

// ArchiveFormat is how files are packed.
type ArchiveFormat string

// The archive formats.
const (
	Zip   ArchiveFormat = "zip"
	TarGz ArchiveFormat = "tar.gz"
)

func (f ArchiveFormat) mediaType() string {
	if f == TarGz {
		return "application/gzip"
	}
	return "application/zip"
}

// Export says what to export.
type Export struct {
	Env    config.Path
	Format ArchiveFormat // "" for Zip
	Names  []string      // none for all
}

// Export writes an archive of what an env serves, byte for byte, each config at
// the place that its File names.
func (c *Client) Export(ctx context.Context, e Export, w io.Writer) error {
	if err := e.Env.Require(config.LevelEnv); err != nil {
		return err
	}
	query := url.Values{"format": {string(orDefault(e.Format, Zip))}, "name": e.Names}
	s, err := c.open(ctx, request{method: http.MethodGet, path: at(e.Env, "export"), query: query}, c.timeout, c.timeout)
	if err != nil {
		return err
	}
	defer s.close()
	_, err = io.Copy(w, s)
	return err
}

// Import says what to import.
type Import struct {
	Env     config.Path
	Archive io.Reader
	Format  ArchiveFormat // "" for Zip
	Comment string
	DryRun  bool // tell what would change, change nothing
	Prune   bool // delete the env's configs that are not in the archive
	// How the releases get to their clients goes with the request's address, which
	// may not be longer than the server takes (16 KiB unless it is set up otherwise).
	ReleaseOptions
}

// ImportResult is what an import did, or would do.
type ImportResult struct {
	ChangeSet config.ChangeSet `json:"change_set"`
	Created   int              `json:"created"`
	Changed   int              `json:"changed"`
	Unchanged int              `json:"unchanged"`
	Pruned    int              `json:"pruned"`
}

// Import releases the files of an archive in an env, as one change set. It is
// not tried again.
func (c *Client) Import(ctx context.Context, i Import) (ImportResult, error) {
	if err := i.Env.Require(config.LevelEnv); err != nil {
		return ImportResult{}, err
	}
	r := request{
		method: http.MethodPost, path: at(i.Env, "import"), body: i.Archive,
		query:  values("dry_run", flag(i.DryRun), "prune", flag(i.Prune), "comment", i.Comment),
		header: http.Header{"Content-Type": {i.Format.mediaType()}},
	}
	if err := i.query(r.query); err != nil {
		return ImportResult{}, err
	}
	var out ImportResult
	_, err := c.call(ctx, r, &out)
	return out, err
}
