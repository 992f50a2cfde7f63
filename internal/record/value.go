package record

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

// InlineContent is the size in bytes up to which a release's content lies in
// the same key as its metadata: one write less for each publish. Larger content
// has a key of its own, so that listing a history stays cheap.
const InlineContent = 16 << 10

// Encode turns a noun that has no content or secret into a value.
func Encode(noun any) []byte {
	b, err := json.Marshal(noun)
	if err != nil {
		// Only a noun that cannot be JSON at all gets here: a defect, not data.
		panic(fmt.Sprintf("record: encode %T: %v", noun, err))
	}
	return b
}

// Decode reads a value that Encode made.
func Decode[T any](value []byte) (T, error) {
	var noun T
	if err := json.Unmarshal(value, &noun); err != nil {
		return noun, fmt.Errorf("decode %T: %w", noun, err)
	}
	return noun, nil
}

// EncodeRelease joins a release with its content, if that is small. It returns
// the content that needs a key of its own, or nil.
func EncodeRelease(r config.Release, content []byte) (value, separate []byte) {
	if len(content) > InlineContent {
		return frame(Encode(r), nil), content
	}
	return frame(Encode(r), content), nil
}

// DecodeRelease reads what EncodeRelease made. inline is false if the content
// lies under ContentKey.
func DecodeRelease(value []byte) (r config.Release, content []byte, inline bool, err error) {
	meta, content, err := unframe(value)
	if err != nil {
		return r, nil, false, fmt.Errorf("decode release: %w", err)
	}
	r, err = Decode[config.Release](meta)
	return r, content, r.Size <= InlineContent, err
}

// ReleaseContent reads the content alone of what EncodeRelease made: empty if it
// lies under ContentKey.
func ReleaseContent(value []byte) ([]byte, error) {
	_, content, err := unframe(value)
	return content, err
}

// EncodeDraft joins a draft with its content.
func EncodeDraft(d config.Draft) []byte { return frame(Encode(d), d.Content) }

// DecodeDraft reads what EncodeDraft made.
func DecodeDraft(value []byte) (config.Draft, error) {
	meta, content, err := unframe(value)
	if err != nil {
		return config.Draft{}, fmt.Errorf("decode draft: %w", err)
	}
	d, err := Decode[config.Draft](meta)
	d.Content = content
	return d, err
}

// frame puts a length before meta and the content after it, as it is.
func frame(meta, content []byte) []byte {
	b := make([]byte, 0, binary.MaxVarintLen32+len(meta)+len(content))
	b = binary.AppendUvarint(b, uint64(len(meta)))
	b = append(b, meta...)
	return append(b, content...)
}

func unframe(b []byte) (meta, content []byte, err error) {
	n, used := binary.Uvarint(b)
	if used <= 0 || n > uint64(len(b)-used) {
		return nil, nil, errors.New("the value is cut off")
	}
	rest := b[used:]
	return rest[:n:n], rest[n:], nil
}

// Tenant is a tenant as it lies in the store.
type Tenant struct {
	config.Tenant
	// Import is set while the tenant is being imported: then nothing of it is
	// there yet for anybody.
	Import *Import `json:"import,omitempty"`
	// Imported is the ID of the import that made the tenant, if one did.
	Imported string `json:"imported,omitempty"`
}

// Import is an import that is under way, or was broken off.
type Import struct {
	// ID is what audit records tell that came with it. Another attempt with the
	// same file goes on with it.
	ID string `json:"id"`
	// File is the SHA-256 of the file, in hexadecimal.
	File string    `json:"file"`
	By   string    `json:"by"`
	At   time.Time `json:"at"`
	// Audits is how many of the file's audit records are there already. They are
	// never taken back, so another attempt with the file leaves them out.
	Audits int64 `json:"audits"`
}

// SinkPosition is how far a sink of the audit has come.
type SinkPosition struct {
	Sink string `json:"sink"`
	// Sequence is the last checkpoint of which the sink has everything.
	Sequence int64 `json:"sequence"`
	// Told is how many records of the next one it has.
	Told int       `json:"told,omitempty"`
	At   time.Time `json:"at"`
}

type storedUser struct {
	auth.User
	PasswordHash string `json:"password_hash,omitempty"`
}

// EncodeUser keeps the password hash, which a User's own JSON leaves out.
func EncodeUser(u auth.User) []byte { return Encode(storedUser{User: u, PasswordHash: u.PasswordHash}) }

// DecodeUser reads what EncodeUser made.
func DecodeUser(value []byte) (auth.User, error) {
	s, err := Decode[storedUser](value)
	s.User.PasswordHash = s.PasswordHash
	return s.User, err
}

type storedToken struct {
	auth.Token
	SecretHash []byte    `json:"secret_hash"`
	RenewAt    time.Time `json:"renew_at,omitzero"`
	RenewBy    time.Time `json:"renew_by,omitzero"`
	Renewal    []byte    `json:"renewal,omitempty"`
}

// EncodeToken keeps the secret's hash and what renews a session, which a Token's
// own JSON leaves out.
func EncodeToken(t auth.Token) []byte {
	return Encode(storedToken{Token: t, SecretHash: t.SecretHash, RenewAt: t.RenewAt, RenewBy: t.RenewBy, Renewal: t.Renewal})
}

// DecodeToken reads what EncodeToken made.
func DecodeToken(value []byte) (auth.Token, error) {
	s, err := Decode[storedToken](value)
	s.Token.SecretHash = s.SecretHash
	s.Token.RenewAt, s.Token.RenewBy, s.Token.Renewal = s.RenewAt, s.RenewBy, s.Renewal
	return s.Token, err
}

// JoinToken is a join token as it lies in the store.
type JoinToken struct {
	config.JoinToken
	// SecretHash is the SHA-256 of the secret.
	SecretHash []byte `json:"secret_hash"`
	// Key is that of the node that used it first, as it showed it.
	Key string `json:"key,omitempty"`
}
