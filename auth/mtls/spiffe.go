package mtls

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// spiffeScheme begins a SPIFFE id.
const spiffeScheme = "spiffe://"

// The longest of the SPIFFE standard, in bytes.
const (
	longestSPIFFE = 2048
	longestDomain = 255
)

// parseSPIFFE takes a SPIFFE id apart, by the letter of the standard: nothing is
// decoded, folded or normalised, so that no two texts are one id. The path is empty
// or begins with a slash.
func parseSPIFFE(id string) (domain, path string, err error) {
	rest, ok := strings.CutPrefix(id, spiffeScheme)
	if !ok {
		return "", "", errors.New("it does not begin with " + spiffeScheme)
	}
	if len(id) > longestSPIFFE {
		return "", "", fmt.Errorf("it has more than %d bytes", longestSPIFFE)
	}
	domain, path = rest, ""
	if cut := strings.IndexByte(rest, '/'); cut >= 0 {
		domain, path = rest[:cut], rest[cut:]
	}
	if !isTrustDomain(domain) {
		return "", "", errors.New("its trust domain is none: want lower-case letters, digits, '.', '-' and '_'")
	}
	if path == "" {
		return domain, "", nil
	}
	for segment := range strings.SplitSeq(path[1:], "/") {
		if segment == "" || segment == "." || segment == ".." || strings.ContainsFunc(segment, notInSegment) {
			return "", "", errors.New("its path is none: want segments of letters, digits, '.', '-' and '_', none empty, '.' or '..'")
		}
	}
	return domain, path, nil
}

func isTrustDomain(name string) bool {
	return name != "" && len(name) <= longestDomain && !strings.ContainsFunc(name, func(r rune) bool {
		return notInSegment(r) || r >= 'A' && r <= 'Z'
	})
}

func notInSegment(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '-' && r != '_'
}

// checkSVID refuses a certificate that the SPIFFE standard does not let be a
// workload's, and returns its id. It is verified by its authorities apart.
func checkSVID(leaf *x509.Certificate, uris, domains []string) (id string, err error) {
	if len(uris) != 1 {
		return "", fmt.Errorf("it has %d URIs, where a SPIFFE id must be the only one", len(uris))
	}
	domain, path, err := parseSPIFFE(uris[0])
	switch {
	case err != nil:
		return "", fmt.Errorf("its URI is no SPIFFE id: %w", err)
	case path == "":
		return "", errors.New("its SPIFFE id names a trust domain and nobody in it")
	case len(domains) > 0 && !slices.Contains(domains, domain):
		return "", fmt.Errorf("its SPIFFE id is of the trust domain %s, which is not taken", domain)
	case leaf.IsCA:
		return "", errors.New("it is an authority's")
	case leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return "", errors.New("its key may not sign, which a SPIFFE id's must")
	case leaf.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0:
		return "", errors.New("its key may vouch for others, which a SPIFFE id's must not")
	case !keyUsageIsCritical(leaf):
		return "", errors.New("its key usage is not critical, which a SPIFFE id's must be")
	}
	return uris[0], nil
}

// The object identifiers of what the parsed certificate does not tell in full.
const (
	oidKeyUsage         = "2.5.29.15"
	oidAlternativeNames = "2.5.29.17"
	oidCommonName       = "2.5.4.3"
)

func keyUsageIsCritical(cert *x509.Certificate) bool {
	for _, e := range cert.Extensions {
		if e.Id.String() == oidKeyUsage {
			return e.Critical
		}
	}
	return false
}

// uriTag marks a URI among the alternative names of a certificate (RFC 5280, 4.2.1.6).
const uriTag = 6

// urisOf returns the URIs of a certificate as they are written in it: the parsed
// ones have lost what makes some of them differ.
func urisOf(cert *x509.Certificate) ([]string, error) {
	var uris []string
	for _, e := range cert.Extensions {
		if e.Id.String() != oidAlternativeNames {
			continue
		}
		var names asn1.RawValue
		if rest, err := asn1.Unmarshal(e.Value, &names); err != nil || len(rest) > 0 {
			return nil, errors.New("its alternative names are damaged")
		}
		for left := names.Bytes; len(left) > 0; {
			var name asn1.RawValue
			var err error
			if left, err = asn1.Unmarshal(left, &name); err != nil {
				return nil, errors.New("its alternative names are damaged")
			}
			if name.Class == asn1.ClassContextSpecific && name.Tag == uriTag {
				uris = append(uris, string(name.Bytes))
			}
		}
	}
	return uris, nil
}
