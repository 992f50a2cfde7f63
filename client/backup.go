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
	s, err := c.open(ctx, request{method: http.MethodGet, path: "/v1/backup"}, c.timeout, c.timeout)
	if err != nil {
		return BackupInfo{}, err
	}
	defer s.close()
	proof := &backupProof{sum: sha256.New()}
	if _, err := io.Copy(io.MultiWriter(w, proof), s); err != nil {
		return BackupInfo{}, err
	}
	return proof.end()
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

// end says what the backup says of itself, if that is proved.
func (p *backupProof) end() (BackupInfo, error) {
	damaged := config.Errorf(config.Unavailable, "backup", "", "what the server sent is no whole backup; try again")
	if len(p.last) < backupTrailer || string(p.start[:len(backupMagic)]) != backupMagic {
		return BackupInfo{}, damaged
	}
	p.sum.Write(p.last[:backupNumbers])
	if subtle.ConstantTimeCompare(p.sum.Sum(nil), p.last[backupNumbers:]) == 0 {
		return BackupInfo{}, damaged
	}
	length := int(binary.BigEndian.Uint32(p.start[backupStart-4:]))
	var info BackupInfo
	if length > len(p.start)-backupStart || json.Unmarshal(p.start[backupStart:backupStart+length], &info) != nil ||
		!plainID.MatchString(info.Installation) {
		return BackupInfo{}, config.Errorf(config.Internal, "backup", "", "the backup is of a form that this client does not know; use a newer one")
	}
	info.Size, info.Revision = p.size, int64(binary.BigEndian.Uint64(p.last[8:]))
	return info, nil
}

// plainID is an installation's id, which becomes part of a file's name.
var plainID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

var _ io.Writer = (*backupProof)(nil)
