package center

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

// ArchiveFormat names a kind of archive.
type ArchiveFormat string

// The kinds of archive.
const (
	Zip   ArchiveFormat = "zip"
	TarGz ArchiveFormat = "tar.gz"
)

// Export asks for what an env serves, as an archive.
type Export struct {
	Env    config.Path
	Names  []string // none: all
	Format ArchiveFormat
}

// Export writes the stable releases of an env as an archive: each config at its
// file name, byte for byte as it was published, at one revision. It starts to
// write only when everything that can be refused was checked.
func (c *Center) Export(ctx context.Context, e Export, w io.Writer) error {
	const op = "env.export"
	if _, err := c.authorize(ctx, op, auth.Read, e.Env); err != nil {
		return err
	}
	snap := c.view.Snapshot()
	if _, ok := snap.Env(e.Env); !ok || e.Env.Level() != config.LevelEnv {
		return errNoScope(op, e.Env)
	}
	out, err := newArchive(e.Format, w)
	if err != nil {
		return located(op, e.Env.String(), err)
	}
	for _, name := range e.Names {
		if _, err := servedAt(snap, e.Env.Join(name)); err != nil {
			return located(op, "", err)
		}
	}
	for cfg := range snap.Configs(e.Env, "") {
		stable := cfg.Rollout.Stable
		wanted := len(e.Names) == 0 || slices.Contains(e.Names, cfg.Meta.Path.Name)
		if !wanted || cfg.MetaRevision == 0 || cfg.Rollout.Deleted || stable == nil {
			continue
		}
		content, err := c.view.Content(ctx, stable)
		if err != nil {
			return located(op, cfg.Meta.Path.String(), err)
		}
		if err := out.add(cfg.Meta.FileName(), stable.Time, content); err != nil {
			return located(op, cfg.Meta.Path.String(), err)
		}
	}
	return located(op, e.Env.String(), out.close())
}

// archive is what zip and tar have in common here.
type archive struct {
	add   func(name string, modified time.Time, content []byte) error
	close func() error
}

func newArchive(f ArchiveFormat, w io.Writer) (archive, error) {
	switch f {
	case Zip:
		z := zip.NewWriter(w)
		return archive{close: z.Close, add: func(name string, modified time.Time, content []byte) error {
			out, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: modified})
			if err == nil {
				_, err = out.Write(content)
			}
			return err
		}}, nil
	case TarGz:
		g := gzip.NewWriter(w)
		t := tar.NewWriter(g)
		return archive{
			close: func() error { return errors.Join(t.Close(), g.Close()) },
			add: func(name string, modified time.Time, content []byte) error {
				err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: modified, Format: tar.FormatPAX})
				if err == nil {
					_, err = t.Write(content)
				}
				return err
			},
		}, nil
	default:
		return archive{}, config.Errorf(config.Invalid, "", "", "archive format %q: use zip or tar.gz", f)
	}
}

// ReadArchive takes a zip or tar.gz apart, whichever it is. Directories, links
// and devices are passed over. An archive that would unpack to more than
// maxSize bytes or maxFiles files is refused before that much is read.
func ReadArchive(content []byte, maxSize int64, maxFiles int) ([]ImportFile, error) {
	r := archiveReader{left: maxSize, maxSize: maxSize, maxFiles: maxFiles}
	var err error
	switch {
	case bytes.HasPrefix(content, []byte("PK")):
		err = r.readZip(content)
	case bytes.HasPrefix(content, []byte{0x1f, 0x8b}):
		err = r.readTarGz(content)
	default:
		err = errors.New("the content is neither a zip nor a tar.gz archive")
	}
	if err == nil {
		return r.files, nil
	}
	if known := (*config.Error)(nil); errors.As(err, &known) {
		return nil, known
	}
	return nil, config.Errorf(config.Invalid, "archive.read", "", "the archive cannot be read: %w", err)
}

type archiveReader struct {
	files         []ImportFile
	left, maxSize int64
	maxFiles      int
}

func (a *archiveReader) readZip(content []byte) error {
	z, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return err
	}
	for _, f := range z.File {
		if !f.Mode().IsRegular() {
			continue
		}
		in, err := f.Open()
		if err != nil {
			return err
		}
		err = errors.Join(a.take(f.Name, in), in.Close())
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *archiveReader) readTarGz(content []byte) error {
	g, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return err
	}
	t := tar.NewReader(g)
	for {
		header, err := t.Next()
		if errors.Is(err, io.EOF) {
			return g.Close()
		}
		if err != nil {
			return err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		if err := a.take(header.Name, t); err != nil {
			return err
		}
	}
}

func (a *archiveReader) take(name string, in io.Reader) error {
	if len(a.files) == a.maxFiles {
		return config.Errorf(config.TooLarge, "archive.read", "", "the archive holds more than %d files", a.maxFiles)
	}
	content, err := io.ReadAll(io.LimitReader(in, a.left+1))
	if err != nil {
		return err
	}
	if a.left -= int64(len(content)); a.left < 0 {
		return config.Errorf(config.TooLarge, "archive.read", "", "the archive unpacks to more than %d bytes", a.maxSize)
	}
	a.files = append(a.files, ImportFile{File: name, Content: content})
	return nil
}
