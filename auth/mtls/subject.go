package mtls

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/setpointhq/setpoint/auth"
)

// identify says whom a certificate names that the authorities vouch for. The error
// says why nobody.
func (s *Settings) identify(leaf *x509.Certificate) (auth.Identity, error) {
	name, err := s.name(leaf)
	if err != nil {
		return auth.Identity{}, err
	}
	id := auth.Identity{Subject: auth.External(s.Name, name), Provider: s.Name, Method: Name}
	if err := auth.CheckExternal(id.Subject); err != nil {
		return auth.Identity{}, err
	}
	for _, by := range s.Groups {
		names := leaf.Subject.OrganizationalUnit
		if by == byOrganization {
			names = leaf.Subject.Organization
		}
		for _, group := range names {
			id.Groups = append(id.Groups, auth.External(s.Name, group))
		}
	}
	if len(id.Groups) > auth.MaxExternalGroups {
		return auth.Identity{}, fmt.Errorf("it names more than %d groups", auth.MaxExternalGroups)
	}
	for _, group := range id.Groups {
		// Not passed over: a group may be what takes rights away.
		if err := auth.CheckExternal(group); err != nil {
			return auth.Identity{}, fmt.Errorf("it names a group that cannot be one: %w", err)
		}
	}
	slices.Sort(id.Groups)
	id.Groups = slices.Compact(id.Groups)
	return id, nil
}

// name returns what names the subject: the first sort of name that the certificate
// has. One that has several of that sort is nobody's, as it could be taken for
// either.
func (s *Settings) name(leaf *x509.Certificate) (string, error) {
	uris, err := urisOf(leaf)
	if err != nil {
		return "", err
	}
	for _, by := range s.Identity {
		var names []string
		switch by {
		case bySPIFFE:
			// Whose URI looks like an id must be whole in every respect: it is not
			// taken for something else instead.
			if slices.ContainsFunc(uris, looksLikeSPIFFE) {
				return checkSVID(leaf, uris, s.TrustDomains)
			}
		case byDNS:
			names = leaf.DNSNames
		case byEmail:
			names = leaf.EmailAddresses
		case byCommonName:
			names = commonNames(leaf)
		}
		if len(names) > 1 {
			return "", fmt.Errorf("it has %d names of the sort %s, where one is wanted", len(names), by)
		}
		if len(names) == 1 && names[0] != "" {
			return names[0], nil
		}
	}
	return "", errors.New("it has no name of a sort that is taken: " + strings.Join(s.Identity, ", "))
}

func looksLikeSPIFFE(uri string) bool {
	const scheme = len("spiffe:")
	return len(uri) >= scheme && strings.EqualFold(uri[:scheme], "spiffe:")
}

// commonNames are all of a subject; the parsed one is merely the last.
func commonNames(cert *x509.Certificate) []string {
	var names []string
	for _, part := range cert.Subject.Names {
		if name, isText := part.Value.(string); isText && part.Type.String() == oidCommonName {
			names = append(names, name)
		}
	}
	return names
}

// isOfNode reports whether a certificate is one by which the cluster's nodes know
// each other, as 'setpoint cert issue' makes them. Where somebody lets the nodes'
// authority vouch for clients by mistake, nodes are nobody all the same.
func isOfNode(cert *x509.Certificate) bool {
	return slices.Equal(cert.Subject.Organization, []string{"Setpoint"}) && slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
}
