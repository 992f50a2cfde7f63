package record

import (
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/audit"
)

// SealHeadKey holds where the chain of checkpoints ends.
const SealHeadKey = "s/head"

const (
	checkpointPrefix = "s/c/"
	sealedPrefix     = "s/r/"
)

// CheckpointPrefix is what the keys of checkpoints begin with, in their order.
func CheckpointPrefix() string { return checkpointPrefix }

// CheckpointKey returns the key of a checkpoint.
func CheckpointKey(sequence int64) string { return checkpointPrefix + padVersion(sequence) }

// SealedPrefix is what the keys of the checkpoints' lists of records begin with.
func SealedPrefix() string { return sealedPrefix }

// SealedKey returns the key of a checkpoint's list of records. It goes when the
// records have gone.
func SealedKey(sequence int64) string { return sealedPrefix + padVersion(sequence) }

// SplitSealKey returns the sequence in the key of a checkpoint or a list.
func SplitSealKey(key string) (sequence int64, ok bool) {
	digits, found := strings.CutPrefix(key, checkpointPrefix)
	if !found {
		digits, found = strings.CutPrefix(key, sealedPrefix)
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, found && err == nil && n > 0 && padVersion(n) == digits
}

// SplitAudit takes the key of an audit record apart. The system's tenant is "".
func SplitAudit(key string) (tenant, id string) {
	_, rest := Split(key)
	tenant, id, _ = strings.Cut(rest, "/")
	if tenant == SystemTenant {
		tenant = ""
	}
	return tenant, complement(id)
}

// AuditTime returns the time with which the id of an audit record begins.
func AuditTime(id string) (time.Time, bool) {
	const digits = 16
	if len(id) < digits {
		return time.Time{}, false
	}
	n, err := strconv.ParseInt(id[:digits], 16, 64)
	return time.Unix(0, n).UTC(), err == nil && n > 0
}

// EncodeSealed writes a checkpoint's list of records: of each the length of its
// key, the key, and the digest.
func EncodeSealed(records []audit.Sealed) []byte {
	size := 0
	for i := range records {
		size += binary.MaxVarintLen16 + len(records[i].Key) + len(audit.Hash{})
	}
	b := make([]byte, 0, size)
	for i := range records {
		b = binary.AppendUvarint(b, uint64(len(records[i].Key)))
		b = append(b, records[i].Key...)
		b = append(b, records[i].Digest[:]...)
	}
	return b
}

// DecodeSealed reads what EncodeSealed wrote.
func DecodeSealed(b []byte) ([]audit.Sealed, error) {
	var records []audit.Sealed
	for len(b) > 0 {
		n, used := binary.Uvarint(b)
		const digest = len(audit.Hash{})
		if used <= 0 || len(b)-used < digest || n > uint64(len(b)-used-digest) {
			return nil, errors.New("the list of sealed records is cut off")
		}
		end := used + int(n)
		records = append(records, audit.Sealed{Key: string(b[used:end]), Digest: audit.Hash(b[end : end+digest])})
		b = b[end+digest:]
	}
	return records, nil
}
