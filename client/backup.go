package client

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/json"
	"hash"
	"io"
	"net/http"
	"regexp"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// BackupInfo is what a backup says of itself.
type BackupInfo struct {
	// Installation is the id of the installation that it is of.
	Installation string    `json:"installation"`
	Created      time.Time `json:"created"`
	Version      string    `json:"version"` // of the server that made it
	Engine       string    `json:"engine"`  // of that server's store
	// Revision is the position in the order of all changes that it is of.
	Revision int64 `json:"revision"`
	Size     int64 `json:"size"` // bytes
}

// FileName is how the backup's file is best called.
func (b BackupInfo) FileName() string {
	return "setpoint-" + b.Installation + "-" + b.Created.UTC().Format("20060102T150405Z") + ".backup"
}

// Backup writes a backup of the installation to w, as it comes. Only if there is
// no error is it whole, as its digest proves; else what was written is to be
// thrown away. It holds password hashes: keep it safe.
func (c *Client) Backup(ctx context.Context, w io.Writer) (BackupInfo, error) {
	return fetchProved[BackupInfo](ctx, c, "/v1/backup", &backupProof{magic: backupMagic, what: "backup", sum: sha256.New()}, w)
}

// selfTold is what a file says of itself: what its header holds, completed.
type selfTold[T any] interface {
	*T
	told(size, revision int64) (ok bool)
}

// fetchProved writes what the server answers to w, and returns what it says of
// itself if it is proved whole.
func fetchProved[T any, P selfTold[T]](ctx context.Context, c *Client, path string, proof *backupProof, w io.Writer) (info T, err error) {
	s, err := c.open(ctx, request{method: http.MethodGet, path: path}, c.timeout, c.timeout)
	if err != nil {
		return info, err
	}
	defer s.close()
	if _, err := io.Copy(io.MultiWriter(w, proof), s); err != nil {
		return info, err
	}
	return proved[T, P](proof)
}

// proved ends a proof.
func proved[T any, P selfTold[T]](proof *backupProof) (info T, err error) {
	header, err := proof.end()
	if err != nil {
		return info, err
	}
	if json.Unmarshal(header, &info) != nil || !P(&info).told(proof.size, proof.revision()) {
		var none T
		return none, config.Errorf(config.Internal, proof.what, "", "what the server sent is of a form that this client does not know; use a newer one")
	}
	return info, nil
}

// told completes what the header of a backup says.
func (b *BackupInfo) told(size, revision int64) bool {
	b.Size, b.Revision = size, revision
	return plainID.MatchString(b.Installation)
}

// The form of a backup, as far as it must be known to prove it whole.
const (
	backupMagic   = "setpoint backup\n"
	backupStart   = len(backupMagic) + 8 // magic, version, length of the header
	backupHeader  = 64 << 10             // largest header
	backupNumbers = 16                   // length and revision, before the digest
	backupTrailer = backupNumbers + sha256.Size
)

// backupProof checks a backup that passes by. Its last bytes are the digest of
// all others, so the last ones so far are held back from the sum.
type backupProof struct {
	magic string // what it must begin with
	what  string // it is, for errors
	sum   hash.Hash
	start []byte // up to the end of the header
	last  []byte
	size  int64
}

// Write implements io.Writer.
func (p *backupProof) Write(b []byte) (int, error) {
	p.size += int64(len(b))
	if room := backupStart + backupHeader - len(p.start); room > 0 {
		p.start = append(p.start, b[:min(room, len(b))]...)
	}
	p.last = append(p.last, b...)
	if done := len(p.last) - backupTrailer; done > 0 {
		p.sum.Write(p.last[:done])
		p.last = append(p.last[:0], p.last[done:]...)
	}
	return len(b), nil
}

// end returns the header, if all is proved.
func (p *backupProof) end() (header []byte, err error) {
	damaged := config.Errorf(config.Unavailable, p.what, "", "what the server sent is no whole %s; try again", p.what)
	if len(p.last) < backupTrailer || string(p.start[:len(p.magic)]) != p.magic {
		return nil, damaged
	}
	p.sum.Write(p.last[:backupNumbers])
	if subtle.ConstantTimeCompare(p.sum.Sum(nil), p.last[backupNumbers:]) == 0 {
		return nil, damaged
	}
	length := int(binary.BigEndian.Uint32(p.start[backupStart-4:]))
	return p.start[backupStart : backupStart+min(length, len(p.start)-backupStart)], nil
}

// revision is that which the end tells.
func (p *backupProof) revision() int64 { return int64(binary.BigEndian.Uint64(p.last[8:])) }

// plainID is an installation's id, which becomes part of a file's name.
var plainID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

var _ io.Writer = (*backupProof)(nil)
