package pki

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/setpointhq/setpoint/config"
)

// The modes of files: keys are their owner's alone.
const (
	PublicMode fs.FileMode = 0o644
	SecretMode fs.FileMode = 0o600
)

// Material is the content of a node's Files.
type Material struct{ Cert, Key, CA []byte }

// WriteNode writes a node's files, the folder with them if need be. What is
// there is replaced, each file as a whole, the certificate last; an empty CA
// leaves that file alone.
func WriteNode(f Files, m Material) error {
	if err := os.MkdirAll(filepath.Dir(f.Cert), 0o700); err != nil {
		return err
	}
	if len(m.CA) > 0 {
		if err := WriteFile(f.CA, m.CA, PublicMode); err != nil {
			return err
		}
	}
	// Both are on disk before either takes its name, so that hardly a moment
	// is left in which they do not match.
	key, err := stage(f.Key, m.Key, SecretMode)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(key) }() // it is gone if all went well
	cert, err := stage(f.Cert, m.Cert, PublicMode)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(cert) }()
	if err := errors.Join(os.Rename(key, f.Key), os.Rename(cert, f.Cert)); err != nil {
		return err
	}
	syncFolder(f.Key)
	syncFolder(f.Cert)
	return nil
}

// WriteFile writes a file as a whole or not at all, in the place of what is there.
func WriteFile(name string, content []byte, mode fs.FileMode) error {
	staged, err := stage(name, content, mode)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(staged) }() // it is gone if all went well
	if err := os.Rename(staged, name); err != nil {
		return err
	}
	syncFolder(name)
	return nil
}

// createFile writes a file as a whole, and never over another. Its error is
// fs.ErrExist if there is one.
func createFile(name string, content []byte, mode fs.FileMode) error {
	staged, err := stage(name, content, mode)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(staged) }()
	// A link, unlike a renaming, does not replace anything.
	err = os.Link(staged, name)
	if err != nil && !errors.Is(err, fs.ErrExist) { // a file system without links
		err = createPlainly(name, content, mode)
	}
	syncFolder(name)
	return err
}

func createPlainly(name string, content []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}

// stage writes content next to the name that it shall have, and returns where.
func stage(name string, content []byte, mode fs.FileMode) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*") // 0600
	if err != nil {
		return "", err
	}
	_, err = f.Write(content)
	if mode != SecretMode && err == nil {
		err = f.Chmod(mode)
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// syncFolder makes a new name in a folder last, where the system can. It is no
// failure if it cannot: the content is safe.
func syncFolder(name string) {
	if dir, err := os.Open(filepath.Dir(name)); err == nil {
		_ = dir.Sync()
		_ = dir.Close()
	}
}

// readFile reads a file of bounded size. NotFound if it is not there, else Invalid.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		kind := config.Invalid
		if errors.Is(err, fs.ErrNotExist) {
			kind = config.NotFound
		}
		return nil, config.Errorf(kind, "certificate", name, "cannot be read: %w", cause(err))
	}
	defer func() { _ = f.Close() }() // it was only read
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, invalid(name, "cannot be read: %w", cause(err))
	case len(content) > maxFile:
		return nil, invalid(name, "cannot be read: %w", fmt.Errorf("it has more than %d bytes", maxFile))
	}
	return content, nil
}

// cause is an error of the file system without the name, which is said already.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
