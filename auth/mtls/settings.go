package mtls

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/throttle"
	"github.com/setpointhq/setpoint/config"
)

// Name of the driver, in settings and in auth.Identity.Method.
const Name = "mtls"

const place = "auth." + Name

// Settings of the mtls driver.
type Settings struct {
	Name         string            `yaml:"name" doc:"what subjects and groups are known by: whom a certificate calls alice is NAME:alice, and gets what is bound to that"`
	CAFile       string            `yaml:"ca_file" doc:"the PEM file of the authorities that vouch for clients, and for nobody else: not the authority of the cluster's nodes. It is read again when it changes"`
	Identity     []string          `yaml:"identity" doc:"what of a certificate names the subject, the first that it has: spiffe (its URI, which makes it an X.509-SVID), dns, email, common_name. One that has several of a sort is refused"`
	Groups       []string          `yaml:"groups" doc:"what of a certificate's subject names groups: organizational_unit, organization"`
	TrustDomains []string          `yaml:"trust_domains" doc:"the SPIFFE trust domains whose ids are taken; empty: any for which the authorities vouch"`
	CRLFile      string            `yaml:"crl_file" doc:"a file with the lists of revoked certificates, in PEM or one in DER; it is read again when it changes. If given, the authority that issued a client's certificate must have a current list in it, or the certificate is not taken"`
	MaxValidity  time.Duration     `yaml:"max_validity" doc:"the longest time for which a certificate may have been issued; 0 is any"`
	Remember     time.Duration     `yaml:"remember" doc:"how long a certificate that was proved is remembered, and not verified again; never past its end, or a change of the files. 0 means not at all"`
	RememberMost int               `yaml:"remember_most" doc:"how many certificates are remembered at most"`
	PerAddress   throttle.Settings `yaml:"per_address" doc:"how failures from one address are slowed; an IPv6 address counts as its /64"`
}

// Defaults fills every field but ca_file, for which there is none.
func (s *Settings) Defaults() {
	*s = Settings{
		Name:        Name,
		Identity:    []string{bySPIFFE, byCommonName},
		MaxValidity: 398 * 24 * time.Hour,
		Remember:    time.Minute, RememberMost: 10_000,
	}
	s.PerAddress.Defaults()
	s.PerAddress.Failures = 30 // a fleet with one expired deployment may share one address
}

// What of a certificate can name a subject, and groups.
const (
	bySPIFFE     = "spiffe"
	byDNS        = "dns"
	byEmail      = "email"
	byCommonName = "common_name"

	byUnit         = "organizational_unit"
	byOrganization = "organization"
)

// The bounds of settings.
const (
	mostRemember = time.Hour
	mostEntries  = 1_000_000
)

// Validate refuses what would be unsafe or senseless.
func (s *Settings) Validate() error {
	return errors.Join(
		s.validateName(),
		want(s.CAFile != "", "ca_file", "is missing; name the file of the authorities that vouch for clients"),
		want(len(s.Identity) > 0, "identity", "names nothing; without it no certificate is anybody's"),
		among("identity", s.Identity, bySPIFFE, byDNS, byEmail, byCommonName),
		among("groups", s.Groups, byUnit, byOrganization),
		s.validateDomains(),
		want(s.MaxValidity >= 0, "max_validity", "must be at least 0, is %s", s.MaxValidity),
		want(s.Remember >= 0 && s.Remember <= mostRemember, "remember", "must be from 0 to %s, is %s", mostRemember, s.Remember),
		want(s.RememberMost >= 1 && s.RememberMost <= mostEntries, "remember_most", "must be from 1 to %d, is %d", mostEntries, s.RememberMost),
		s.PerAddress.Validate(place+".per_address"),
	)
}

func (s *Settings) validateName() error {
	if err := auth.CheckProvider(s.Name); err != nil {
		return config.Errorf(config.Invalid, "settings", place+".name", "%s", config.AsError(err).Detail())
	}
	return nil
}

func (s *Settings) validateDomains() error {
	var errs []error
	for _, domain := range s.TrustDomains {
		errs = append(errs, want(isTrustDomain(domain), "trust_domains", "%.300q is no trust domain; write its name alone, like example.org", domain))
	}
	if len(s.TrustDomains) > 0 {
		errs = append(errs, want(slices.Contains(s.Identity, bySPIFFE), "trust_domains", "is of no use unless identity names spiffe"))
	}
	return errors.Join(errs...)
}

// among refuses words that are not of the list, or given twice.
func among(field string, words []string, known ...string) error {
	for i, word := range words {
		if !slices.Contains(known, word) {
			return want(false, field, "%.64q is none of %s", word, strings.Join(known, ", "))
		}
		if slices.Contains(words[:i], word) {
			return want(false, field, "names %s twice", word)
		}
	}
	return nil
}

func want(ok bool, field, format string, args ...any) error {
	if ok {
		return nil
	}
	return config.Errorf(config.Invalid, "settings", place+"."+field, format, args...)
}

// ProvesCertificates implements auth.CertifiedDriver.
func (*Settings) ProvesCertificates() {}

// Open reads the files and returns the working driver, an *Authenticator.
func (s *Settings) Open(_ context.Context, env auth.Env) (auth.Authenticator, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	env = env.WithDefaults()
	a := &Authenticator{settings: *s, log: env.Log, now: env.Now, perAddress: throttle.New(s.PerAddress, env.Now)}
	read, err := a.read()
	if err != nil {
		return nil, err
	}
	a.looked = a.now()
	a.current.Store(read)
	return a, nil
}

var _ auth.CertifiedDriver = (*Settings)(nil)
