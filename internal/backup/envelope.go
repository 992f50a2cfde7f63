// Package backup is the form of a backup: an envelope around what the store's
// engine writes out, that tells where it is from and shows any damage. It also
// reads what lies in one, record by record, and knows the files of backups that
// are made by the clock.
//
// It speaks to no store: whoever has one hands it the engine's snapshot, and
// gets one back.
//
// # The form
//
// Numbers are big-endian.
//
//	16 bytes       "setpoint backup\n", or "setpoint tenant\n"
//	4 bytes        the version of the form: 1
//	4 bytes, n     how long the header is, and the header, as JSON
//	chunks         4 bytes: length c of the chunk, 4 bytes: length of what it
//	               holds, at most 1 MiB; c bytes: that, compressed with zstd
//	8 bytes        zero: no chunk follows
//	8 bytes        length of the snapshot, which is that of all chunks' contents
//	8 bytes        the revision that the snapshot is of
//	32 bytes       SHA-256 of everything before
//
// Nothing follows. So whoever has all of it can tell that it is whole without
// knowing how to decompress it: the last 32 bytes are the digest of the others.
//
// The export of a tenant has the same form. In the place of an engine's snapshot
// it holds records, see Record, which say nothing of engines.
package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/setpointhq/setpoint/config"
)

const (
	magic       = "setpoint backup\n"
	tenantMagic = "setpoint tenant\n"
	version     = 1

	chunkSize    = 1 << 20            // of a snapshot in one chunk
	maxCoded     = chunkSize + 64<<10 // what does not compress grows a little
	maxHeader    = 64 << 10           // of the header's JSON
	maxSnapshot  = int64(1) << 42     // no engine takes as much; beyond it is nonsense
	chunkLengths = 8                  // the two numbers before a chunk
	trailerSize  = 8 + 8 + digestSize // after the chunks
	digestSize   = 32                 //
	preamble     = len(magic) + 4 + 4 // before the header
)

// Header says where a backup is from.
type Header struct {
	// Installation is the id of the installation that it is of.
	Installation string    `json:"installation"`
	Created      time.Time `json:"created"`
	// Version is that of the Setpoint that made it.
	Version string `json:"version"`
	// Engine is the store driver whose snapshot it holds, and Prefix what the
	// engine's keys begin with there.
	Engine string `json:"engine,omitempty"`
	Prefix string `json:"prefix,omitempty"`
	// Tenant is set if it is no backup of all but the export of one tenant, which
	// knows no engine.
	Tenant string `json:"tenant,omitempty"`
}

// magic is what the envelope begins with.
func (h Header) magic() string {
	if h.Tenant != "" {
		return tenantMagic
	}
	return magic
}

// Info is what is known of a whole backup.
type Info struct {
	Header
	// Revision is the position in the store's order of changes that it is of.
	Revision int64 `json:"revision"`
	// Size is the backup's length in bytes, Snapshot that of what it holds.
	Size     int64 `json:"size"`
	Snapshot int64 `json:"snapshot_size"`
}

// plainName is what may become part of a file's name.
var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

// check refuses a header that says too little, or what cannot be.
func (h Header) check() error {
	switch {
	case !plainName.MatchString(h.Installation):
		return errors.New("names no installation")
	case h.Tenant == "" && !plainName.MatchString(h.Engine):
		return errors.New("names no engine")
	case h.Tenant != "" && !plainName.MatchString(h.Tenant):
		return errors.New("names no tenant")
	case h.Created.IsZero():
		return errors.New("does not say when it was made")
	}
	return nil
}

// encode returns everything before the first chunk but the header's length.
func (h Header) encode() ([]byte, error) {
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("the header %w", err)
	}
	text, err := json.Marshal(h)
	if err == nil && len(text) > maxHeader {
		err = fmt.Errorf("the header is of %d bytes; at most %d are possible", len(text), maxHeader)
	}
	return text, err
}

func decodeHeader(text []byte) (Header, error) {
	var h Header
	if err := json.Unmarshal(text, &h); err != nil {
		return h, errors.New("its header is no JSON of a backup")
	}
	if err := h.check(); err != nil {
		return h, fmt.Errorf("its header %w", err)
	}
	return h, nil
}

// invalid is the error of a backup that is no good.
func invalid(format string, args ...any) *config.Error {
	return config.Errorf(config.Invalid, "read backup", "", format, args...)
}

// at says which file an error is about.
func at(op, path string, err error) error {
	if err == nil {
		return nil
	}
	e := *config.AsError(err)
	if e.Op == "" {
		e.Op = op
	}
	if e.Path == "" {
		e.Path = path
	}
	return &e
}
