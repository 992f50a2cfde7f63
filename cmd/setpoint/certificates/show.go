package certificates

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/pki"
)

// certificate is what people want to know of one.
type certificate struct {
	File        string    `json:"file"`
	Name        string    `json:"name"`
	Authority   bool      `json:"authority"`
	Hosts       []string  `json:"hosts"`
	Usages      []string  `json:"usages"`
	Issuer      string    `json:"issuer"`
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	Fingerprint string    `json:"fingerprint"`
}

func describe(file string, cert *x509.Certificate) certificate {
	c := certificate{
		File: file, Name: cert.Subject.CommonName, Authority: cert.IsCA, Hosts: append([]string{}, pki.Hosts(cert)...),
		Usages: usages(cert), Issuer: cert.Issuer.CommonName,
		NotBefore: cert.NotBefore, NotAfter: cert.NotAfter, Fingerprint: pki.FingerprintOf(cert),
	}
	for _, uri := range cert.URIs {
		c.Hosts = append(c.Hosts, uri.String())
	}
	if c.Name == "" {
		c.Name = cert.Subject.String()
	}
	if c.Issuer == "" {
		c.Issuer = cert.Issuer.String()
	}
	return c
}

func usages(cert *x509.Certificate) []string {
	list := []string{}
	if cert.IsCA {
		list = append(list, "authority")
	}
	every := len(cert.ExtKeyUsage) == 0 && len(cert.UnknownExtKeyUsage) == 0 || slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageAny)
	if every && cert.IsCA {
		return list
	}
	if every || slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageServerAuth) {
		list = append(list, "server")
	}
	if every || slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		list = append(list, "client")
	}
	return list
}

func showCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show FILE…",
		Short: "Show what certificates are for, when they end and who issued them",
		Long: "Show what the certificates in PEM files are for, when they end and who issued them. The\n" +
			"fingerprint is the SHA-256 of the certificate.",
		Example: "  setpoint cert show certs/*.pem",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			var all []certificate
			for _, file := range files {
				if strings.HasSuffix(file, keySuffix+".pem") && len(files) > 1 {
					continue // named by a pattern
				}
				certs, err := pki.ReadCertificates(file)
				if err != nil {
					return err
				}
				for _, c := range certs {
					all = append(all, describe(file, c))
				}
			}
			return show(cmd, all)
		},
	}
}

// show prints certificates, as JSON if that was asked for.
func show(cmd *cobra.Command, all []certificate) error {
	format, err := cmd.Flags().GetString("output")
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	switch format {
	case "json":
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(all)
	case "table":
	default:
		return config.Errorf(config.Invalid, "certificate", "", "-o %s: want table or json", format)
	}
	for i, c := range all {
		if i > 0 {
			fmt.Fprintln(out)
		}
		if i == 0 || all[i-1].File != c.File {
			fmt.Fprintln(out, c.File)
		}
		w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
		for _, row := range [][2]string{
			{"name", c.Name}, {"good for", strings.Join(c.Hosts, ", ")}, {"used by", strings.Join(c.Usages, ", ")},
			{"issued by", c.Issuer}, {"valid", span(c, time.Now())}, {"fingerprint", c.Fingerprint},
		} {
			if row[1] != "" {
				fmt.Fprintf(w, "  %s\t%s\n", row[0], printable(row[1]))
			}
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// done shows what was made, and what to do next unless that is not wanted.
func done(cmd *cobra.Command, made []certificate, next string, args ...any) error {
	quiet, err := cmd.Flags().GetBool("quiet")
	if err != nil {
		return err
	}
	format, err := cmd.Flags().GetString("output")
	if err != nil || quiet && format == "table" {
		return err
	}
	if err := show(cmd, made); err != nil || format != "table" {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "\n"+next+"\n", args...)
	return err
}

// span is from when to when a certificate is good, and what is left of that.
func span(c certificate, now time.Time) string {
	const layout = "2006-01-02 15:04:05"
	text := c.NotBefore.Local().Format(layout) + " to " + c.NotAfter.Local().Format(layout)
	switch left := c.NotAfter.Sub(now); {
	case left < 0:
		return text + " (expired)"
	case now.Before(c.NotBefore):
		return text + " (not yet)"
	case left < 48*time.Hour:
		return fmt.Sprintf("%s (%.0f hours left)", text, left.Hours())
	default:
		return fmt.Sprintf("%s (%.0f days left)", text, left.Hours()/24)
	}
}

// printable drops what could drive a terminal: others may have written it.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}
