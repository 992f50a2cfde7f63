package oidctest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// users are the example's and a program.
type users struct{ storage.UserStore }

// GetUserByID implements storage.UserStore.
func (u users) GetUserByID(id string) *storage.User {
	if id == RobotID {
		return &storage.User{ID: id, Username: "robot"}
	}
	return u.UserStore.GetUserByID(id)
}

// kept is the example's storage with groups and keys that can be changed.
type kept struct {
	*storage.Storage
	mu     sync.Mutex
	groups any
	key    *signing
}

// signing is a key in both of its roles.
type signing struct {
	id     string
	key    *rsa.PrivateKey
	public bool
}

// ID implements op.SigningKey and op.Key.
func (k *signing) ID() string { return k.id }

// Use implements op.Key.
func (k *signing) Use() string { return "sig" }

// Algorithm implements op.Key.
func (k *signing) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }

// SignatureAlgorithm implements op.SigningKey.
func (k *signing) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }

// Key implements op.SigningKey and op.Key.
func (k *signing) Key() any {
	if k.public {
		return &k.key.PublicKey
	}
	return k.key
}

// Rotate has it sign with a new key of that id, and forget the old one.
func (p *Provider) Rotate(t testing.TB, id string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p.storage.mu.Lock()
	defer p.storage.mu.Unlock()
	p.storage.key = &signing{id: id, key: key}
}

// Regroup changes the claim groups of all users; groups is what JSON can say.
func (p *Provider) Regroup(groups any) {
	p.storage.mu.Lock()
	defer p.storage.mu.Unlock()
	p.storage.groups = groups
}

// SigningKey implements op.Storage.
func (s *kept) SigningKey(context.Context) (op.SigningKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.key, nil
}

// KeySet implements op.Storage.
func (s *kept) KeySet(context.Context) ([]op.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []op.Key{&signing{s.key.id, s.key.key, true}}, nil
}

// SetUserinfoFromToken implements op.Storage.
func (s *kept) SetUserinfoFromToken(ctx context.Context, info *oidc.UserInfo, id, subject, origin string) error {
	if err := s.Storage.SetUserinfoFromToken(ctx, info, id, subject, origin); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	info.AppendClaims("groups", s.groups)
	return nil
}

// SetIntrospectionFromToken implements op.Storage.
func (s *kept) SetIntrospectionFromToken(ctx context.Context, r *oidc.IntrospectionResponse, id, subject, client string) error {
	if err := s.Storage.SetIntrospectionFromToken(ctx, r, id, subject, client); err != nil {
		return err
	}
	r.Subject, r.Audience, r.TokenType = subject, oidc.Audience{client}, oidc.BearerToken
	return nil
}

// CompleteDeviceAuthorization mends that the example's page takes the name that
// somebody logs in by for the user's id.
func (s *kept) CompleteDeviceAuthorization(ctx context.Context, code, _ string) error {
	return s.Storage.CompleteDeviceAuthorization(ctx, code, UserID)
}
