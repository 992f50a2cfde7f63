package cli

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"strings"

	"github.com/setpointhq/setpoint/config"
)

// file is one regular file of a directory or an archive.
type file struct {
	name string // relative, with forward slashes
	size int64
	// open gives the content. It may be called only until the next file is asked for.
	open func() (io.ReadCloser, error)
}

// maxFile bounds one file in memory, whatever an archive claims.
const maxFile = 8 << 20

// read returns the file's content.
func (f file) read() ([]byte, error) {
	r, err := f.open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	content, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err == nil && len(content) > maxFile {
		err = config.Errorf(config.TooLarge, "", f.name, "more than %s", size(maxFile))
	}
	return content, err
}

// source is a directory or an archive. It can be walked any number of times.
type source struct {
	name string
	// skipped, if set, is told what is left out, and why.
	skipped func(name, why string)
}

// files walks the source in its own order.
func (s source) files() iter.Seq2[file, error] {
	return func(yield func(file, error) bool) {
		if err := s.walk(func(f file) bool { return yield(f, nil) }); err != nil {
			yield(file{}, err)
		}
	}
}

func (s source) skip(name, why string) {
	if s.skipped != nil {
		s.skipped(name, why)
	}
}

func (s source) walk(yield func(file) bool) error {
	info, err := os.Stat(s.name)
	if err != nil {
		return err
	}
	switch {
	case info.IsDir():
		return s.walkDir(yield)
	case isTarGz(s.name):
		return s.walkTar(yield)
	case isZip(s.name):
		return s.walkZip(yield)
	default:
		return usagef("%s: want a directory, a .zip or a .tar.gz", s.name)
	}
}

func isZip(name string) bool { return strings.HasSuffix(strings.ToLower(name), ".zip") }

func isTarGz(name string) bool {
	lower := strings.ToLower(name)
	return strings.HasSuffix(lower, ".tar.gz") || strings.HasSuffix(lower, ".tgz")
}

// vcs reports whether a folder belongs to a version control system.
func vcs(name string) bool {
	switch path.Base(name) {
	case ".git", ".hg", ".svn", ".bzr", ".jj", "CVS":
		return true
	default:
		return false
	}
}

// walkDir never leaves the directory: links are skipped, and the root refuses
// what became one meanwhile.
func (s source) walkDir(yield func(file) bool) error {
	root, err := os.OpenRoot(s.name)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && vcs(name):
			s.skip(name, "version control")
			return fs.SkipDir
		case d.IsDir():
			return nil
		case d.Type()&fs.ModeSymlink != 0:
			s.skip(name, "a symbolic link")
			return nil
		case !d.Type().IsRegular():
			s.skip(name, "not a regular file")
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		open := func() (io.ReadCloser, error) { return root.Open(name) }
		if !yield(file{name: name, size: info.Size(), open: open}) {
			return fs.SkipAll
		}
		return nil
	})
}

func (s source) walkZip(yield func(file) bool) error {
	r, err := zip.OpenReader(s.name)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	defer r.Close()
	for _, entry := range r.File {
		if strings.HasSuffix(entry.Name, "/") {
			continue
		}
		f := file{name: entry.Name, size: int64(entry.UncompressedSize64), open: entry.Open}
		if !s.acceptable(entry.Name, entry.Mode()) {
			continue
		}
		if !yield(f) {
			return nil
		}
	}
	return nil
}

func (s source) walkTar(yield func(file) bool) error {
	f, err := os.Open(s.name)
	if err != nil {
		return err
	}
	defer f.Close()
	gz, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	r := tar.NewReader(gz)
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		name := strings.TrimPrefix(header.Name, "./")
		switch {
		case header.Typeflag == tar.TypeDir || header.Typeflag == tar.TypeXGlobalHeader:
			continue
		case !s.acceptable(name, header.FileInfo().Mode()):
			continue
		}
		open := func() (io.ReadCloser, error) { return io.NopCloser(r), nil }
		if !yield(file{name: name, size: header.Size, open: open}) {
			return nil
		}
	}
}

// acceptable says whether an archive's entry is a file that counts.
func (s source) acceptable(name string, mode fs.FileMode) bool {
	for dir := path.Dir(name); dir != "." && dir != "/"; dir = path.Dir(dir) {
		if vcs(dir) {
			return false
		}
	}
	switch {
	case mode&fs.ModeSymlink != 0:
		s.skip(name, "a symbolic link")
	case !mode.IsRegular():
		s.skip(name, "not a regular file")
	default:
		return true
	}
	return false
}
