// Package pki is the cluster's private certificate authority: it makes
// authorities and the certificates of nodes, follows certificate files while
// they change, and says in words what is wrong with one. It knows X.509 and TLS
// and nothing of clusters; it opens no connection of its own accord.
package pki

import (
	"path/filepath"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// How long certificates last unless they are told otherwise.
const (
	AuthorityLife = 10 * year
	NodeLife      = year
)

// Organization is in the subject of every certificate that is issued here.
const Organization = "Setpoint"

// backdate is how far in the past a certificate begins: clocks differ.
const backdate = time.Hour

// Files are the PEM files that a node works with: the certificate that it shows,
// its key, and the authorities that may vouch for other nodes.
type Files struct{ Cert, Key, CA string }

// FilesIn are the files of a name in a folder: NAME.pem, NAME-key.pem and ca.pem.
func FilesIn(dir, name string) Files {
	return Files{
		Cert: filepath.Join(dir, name+".pem"),
		Key:  filepath.Join(dir, name+"-key.pem"),
		CA:   filepath.Join(dir, "ca.pem"),
	}
}

// AuthorityFiles are the files of the authority in a folder: ca.pem, ca-key.pem.
func AuthorityFiles(dir string) (cert, key string) {
	f := FilesIn(dir, "ca")
	return f.Cert, f.Key
}

// invalid is an error about a file, or about what was asked for.
func invalid(path, format string, args ...any) error {
	return config.Errorf(config.Invalid, "certificate", path, format, args...)
}
