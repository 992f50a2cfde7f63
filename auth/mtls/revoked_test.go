package mtls_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/mtls"
	"github.com/setpointhq/setpoint/config"
)

func TestRevokedCertificatesAreRefused(t *testing.T) {
	ca, other := root(t), root(t)
	between := newAuthority(t, ca, authorityTemplate("between"))
	good, bad := ca.issue(t, nil), ca.issue(t, nil)
	below := between.issue(t, nil, between)
	from, until := start().Add(-time.Hour), start().Add(time.Hour)
	none := ca.revoke(t, 1, from, until)
	for name, tc := range map[string]struct {
		lists []byte
		chain []*x509.Certificate
		want  config.ErrorKind // Internal stands for none
	}{
		"not in the list":                       {ca.revoke(t, 1, from, until, bad[0]), good, config.Internal},
		"in the list":                           {ca.revoke(t, 1, from, until, bad[0]), bad, config.Unauthenticated},
		"in one of two":                         {slices.Concat(none, ca.revoke(t, 2, from, until, bad[0])), bad, config.Unauthenticated},
		"in a list that is out of date":         {ca.revoke(t, 1, from, start().Add(-time.Minute), bad[0]), bad, config.Unauthenticated},
		"a list that is out of date":            {ca.revoke(t, 1, from, start().Add(-time.Minute)), good, config.Unavailable},
		"a list of tomorrow":                    {ca.revoke(t, 1, start().Add(time.Minute), until), good, config.Unavailable},
		"a current list beside an old one":      {slices.Concat(none, ca.revoke(t, 1, from, start().Add(-time.Minute))), good, config.Internal},
		"no list of the issuer":                 {newAuthority(t, nil, authorityTemplate("another")).revoke(t, 1, from, until), good, config.Unavailable},
		"a list that another signed":            {other.revoke(t, 1, from, until), good, config.Unavailable},
		"a list by the issuer's issuer only":    {none, below, config.Unavailable},
		"an authority between that was revoked": {slices.Concat(ca.revoke(t, 1, from, until, between.cert), between.revoke(t, 1, from, until)), below, config.Unauthenticated},
		"lists of both":                         {slices.Concat(none, between.revoke(t, 1, from, until)), below, config.Internal},
		"of the issuer alone, which is enough":  {between.revoke(t, 1, from, until), below, config.Internal},
		"an old list of the authority above":    {slices.Concat(ca.revoke(t, 1, from, start().Add(-time.Minute)), between.revoke(t, 1, from, until)), below, config.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			a := open(t, ca, &clock{start()}, func(s *mtls.Settings) { s.CRLFile = file(t, "crl.pem", tc.lists) })
			if tc.want == config.Internal {
				wantProved(t, a, shown(tc.chain), alice())
			} else {
				wantRefused(t, a, shown(tc.chain), tc.want)
			}
		})
	}
}

func TestListsAreReadAgainAndEnd(t *testing.T) {
	ca, c := root(t), &clock{start()}
	name := file(t, "crl.pem", ca.revoke(t, 1, start().Add(-time.Hour), start().Add(time.Minute)))
	a := open(t, ca, c, func(s *mtls.Settings) { s.CRLFile, s.Remember = name, time.Hour })
	chain := ca.issue(t, nil)
	wantProved(t, a, shown(chain), alice())
	c.pass(time.Minute)
	wantRefused(t, a, shown(chain), config.Unavailable) // though it was remembered

	replace(t, name, ca.revoke(t, 2, start(), start().Add(time.Hour)))
	c.pass(5 * time.Second)
	wantProved(t, a, shown(chain), alice())

	replace(t, name, ca.revoke(t, 3, start(), start().Add(time.Hour), chain[0]))
	c.pass(5 * time.Second)
	wantRefused(t, a, shown(chain), config.Unauthenticated)

	replace(t, name, []byte("nothing"))
	c.pass(5 * time.Second)
	wantRefused(t, a, shown(chain), config.Unauthenticated)
}

func TestAListInDERIsRead(t *testing.T) {
	ca := root(t)
	block, _ := pem.Decode(ca.revoke(t, 1, start().Add(-time.Hour), start().Add(time.Hour)))
	a := open(t, ca, &clock{start()}, func(s *mtls.Settings) { s.CRLFile = file(t, "crl.der", block.Bytes) })
	wantProved(t, a, shown(ca.issue(t, nil)), alice())
}

func TestFilesThatCannotBeUsed(t *testing.T) {
	ca := root(t)
	client := ca.issue(t, nil)[0]
	partial, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: start(), NextUpdate: start().Add(time.Hour),
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}},
	}, ca.cert, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		ca, crl []byte
		want    string
	}{
		"no authority":           {[]byte("hello"), nil, "auth.mtls.ca_file: "},
		"a client's certificate": {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: client.Raw}), nil, "is not that of an authority"},
		"a damaged certificate":  {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1}}), nil, "certificate 1 in it is damaged"},
		"no list":                {inPEM(ca), inPEM(ca), "holds no list of revoked certificates"},
		"a damaged list":         {inPEM(ca), []byte{1, 2, 3}, "auth.mtls.crl_file: "},
		"a list of changes":      {inPEM(ca), pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: partial}), "critical extension 2.5.29.27"},
		"an empty list":          {inPEM(ca), []byte{}, "auth.mtls.crl_file: "},
	} {
		t.Run(name, func(t *testing.T) {
			var s mtls.Settings
			s.Defaults()
			s.CAFile = file(t, "ca.pem", tc.ca)
			if tc.crl != nil {
				s.CRLFile = file(t, "crl.pem", tc.crl)
			}
			if _, err := s.Open(t.Context(), auth.Env{}); config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want it invalid and to say %q, got %v", tc.want, err)
			}
			s.CAFile += ".none"
			if _, err := s.Open(t.Context(), auth.Env{}); config.KindOf(err) != config.Invalid {
				t.Errorf("want a file that is not there invalid, got %v", err)
			}
		})
	}
}
