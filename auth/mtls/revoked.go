package mtls

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// revocations is a list of revoked certificates of one authority.
type revocations struct {
	list    *x509.RevocationList
	serials map[string]struct{}
}

// mostLists is how many lists a file may hold.
const mostLists = 256

// parseRevocations reads the lists of a file, in PEM or one in DER.
func parseRevocations(content []byte) ([]revocations, error) {
	var all []revocations
	if !bytes.Contains(content, []byte("-----BEGIN")) {
		one, err := parseRevocation(content)
		return []revocations{one}, err
	}
	for {
		block, rest := pem.Decode(content)
		if block == nil {
			break
		}
		content = rest
		if block.Type != "X509 CRL" {
			continue
		}
		if len(all) == mostLists {
			return nil, fmt.Errorf("it holds more than %d lists", mostLists)
		}
		one, err := parseRevocation(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("list %d in it: %w", len(all)+1, err)
		}
		all = append(all, one)
	}
	if len(all) == 0 {
		return nil, errors.New("it holds no list of revoked certificates")
	}
	return all, nil
}

func parseRevocation(der []byte) (revocations, error) {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return revocations{}, err
	}
	if list.NextUpdate.IsZero() {
		return revocations{}, errors.New("it does not say until when it is good (nextUpdate)")
	}
	// Such are lists that hold some of the certificates only, changes of another
	// list, or those of other authorities: they cannot be read like this one.
	const partial = "it is of a sort that is not understood: it has the critical extension %s"
	for _, e := range list.Extensions {
		if e.Critical {
			return revocations{}, fmt.Errorf(partial, e.Id)
		}
	}
	r := revocations{list: list, serials: make(map[string]struct{}, len(list.RevokedCertificateEntries))}
	for _, entry := range list.RevokedCertificateEntries {
		for _, e := range entry.Extensions {
			if e.Critical {
				return revocations{}, fmt.Errorf(partial, e.Id)
			}
		}
		r.serials[serial(entry.SerialNumber)] = struct{}{}
	}
	return r, nil
}

func serial(n *big.Int) string { return n.Text(16) }

// The ways in which a chain may be no good for its lists.
var (
	errRevoked  = errors.New("it was revoked")
	errOutdated = errors.New("whether it was revoked is not known: crl_file has no current list of the authority that issued it")
)

// check looks a chain up in the lists: its leaf's issuer must have one that is
// current, and those above it too if they have any. It returns until when that
// holds.
func checkRevocation(lists []revocations, chain []*x509.Certificate, now time.Time) (until time.Time, err error) {
	until = chain[0].NotAfter
	for i, cert := range chain[:len(chain)-1] {
		issuer := chain[i+1]
		listed, current := false, false
		for _, r := range lists {
			if !bytes.Equal(r.list.RawIssuer, issuer.RawSubject) || r.list.CheckSignatureFrom(issuer) != nil {
				continue
			}
			listed = true
			if _, revoked := r.serials[serial(cert.SerialNumber)]; revoked {
				return until, errRevoked
			}
			if !now.Before(r.list.ThisUpdate) && now.Before(r.list.NextUpdate) {
				current = true
				until = earlier(until, r.list.NextUpdate)
			}
		}
		if !current && (listed || i == 0) {
			return until, errOutdated
		}
	}
	return until, nil
}

// lastsUntil is when the first of a chain's certificates ends.
func lastsUntil(chain []*x509.Certificate) time.Time {
	first := slices.MinFunc(chain, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
	return first.NotAfter
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
