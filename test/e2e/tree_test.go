package e2e

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/setpointhq/setpoint/client"
)

// tree is files by their relative names.
type tree map[string][]byte

// readTree reads a directory.
func readTree(t testing.TB, dir string) tree {
	t.Helper()
	files := tree{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		relative, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		files[filepath.ToSlash(relative)], err = os.ReadFile(name)
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("read %s: %d files, %v", dir, len(files), err)
	}
	return files
}

// names are in a fixed order.
func (files tree) names() []string { return slices.Sorted(maps.Keys(files)) }

// pack makes an archive of some of the files.
func (files tree) pack(t testing.TB, f client.ArchiveFormat, names []string) io.Reader {
	t.Helper()
	var b bytes.Buffer
	var err error
	if f == client.TarGz {
		err = files.tarGz(&b, names)
	} else {
		err = files.zip(&b, names)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &b
}

func (files tree) zip(w io.Writer, names []string) error {
	z := zip.NewWriter(w)
	for _, name := range names {
		out, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store}) // time is better spent elsewhere
		if err != nil {
			return err
		}
		if _, err := out.Write(files[name]); err != nil {
			return err
		}
	}
	return z.Close()
}

func (files tree) tarGz(w io.Writer, names []string) error {
	g, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	out := tar.NewWriter(g)
	for _, name := range names {
		if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name]))}); err != nil {
			return err
		}
		if _, err := out.Write(files[name]); err != nil {
			return err
		}
	}
	return errors.Join(out.Close(), g.Close())
}

// unpack reads an archive.
func unpack(t testing.TB, f client.ArchiveFormat, content []byte) tree {
	t.Helper()
	files := tree{}
	var err error
	if f == client.TarGz {
		err = files.unTarGz(content)
	} else {
		err = files.unzip(content)
	}
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func (files tree) unzip(content []byte) error {
	z, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return err
	}
	for _, f := range z.File {
		in, err := f.Open()
		if err != nil {
			return err
		}
		if files[f.Name], err = io.ReadAll(in); err != nil {
			return err
		}
	}
	return nil
}

func (files tree) unTarGz(content []byte) error {
	g, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return err
	}
	in := tar.NewReader(g)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if files[h.Name], err = io.ReadAll(in); err != nil {
			return err
		}
	}
}

// wantEqual compares two trees byte for byte.
func wantEqual(t testing.TB, want, got tree) {
	t.Helper()
	for _, name := range want.names() {
		content, there := got[name]
		switch {
		case !there:
			t.Errorf("%s is missing", name)
		case !bytes.Equal(want[name], content):
			t.Errorf("%s: want %d bytes, got %d that differ:\nwant %.300q\ngot  %.300q", name, len(want[name]), len(content), want[name], content)
		}
	}
	for _, name := range got.names() {
		if _, there := want[name]; !there {
			t.Errorf("%s was not there before", name)
		}
	}
}

// generate makes files of all formats, of 20 bytes to 8 KiB, in folders, with
// line ends and characters of many sorts. The same seed makes the same files.
func generate(seed uint64, count int) tree {
	g := generator{rand.New(rand.NewPCG(seed, 7))}
	files := make(tree, count)
	for i := range count {
		format := []string{"yaml", "json", "toml"}[i%3]
		size := 20 << g.IntN(9) // many small, few large, as in real life
		size += g.IntN(min(size, 8<<10-size) + 1)
		folder := []string{"", "region-eu/", "teams/core/", "应用/", ".hidden/"}[i%5]
		files[fmt.Sprintf("%sservice-%05d.%s", folder, i, format)] = g.content(format, size)
	}
	return files
}

type generator struct{ *rand.Rand }

var generatedWords = []string{
	"timeout", "retries", "größe", "端口", "host name", "url", "true", "on", "0123", "1e3", "~", "null", "a: b", "# no comment",
	`back\slash`, `"quoted"`, "tab\there", "emoji 🚀", "${PLACE:holder}", "{{ .Template }}", "  padded  ", "'", "=", "[x]", "%",
}

// quotedWords are the words as JSON writes strings, which YAML and TOML read as
// well.
var quotedWords = func() (all []string) {
	for _, word := range generatedWords {
		b, err := json.Marshal(word)
		if err != nil {
			panic(err)
		}
		all = append(all, string(b))
	}
	return all
}()

// word is quoted.
func (g generator) word() string { return quotedWords[g.IntN(len(quotedWords))] }

// content is well-formed and has exactly the size.
func (g generator) content(format string, size int) []byte {
	var lines []string
	left := size
	add := func(line string) bool {
		if len(line)+2 > left-8 { // a line end, and what closes or pads
			return false
		}
		lines = append(lines, line)
		left -= len(line) + 2
		return true
	}
	comment := "#"
	switch format {
	case "json":
		comment = ""
		add("{")
		for i := 0; add(g.member(i)); i++ {
			lines[len(lines)-1] += ","
			left--
		}
		lines = append(lines, `"z":0}`)
	default:
		separator := map[string]string{"yaml": ": ", "toml": " = "}[format]
		for i := 0; add("key" + strconv.Itoa(i) + separator + g.word()); i++ {
			continue
		}
	}
	end := []string{"\n", "\r\n"}[g.IntN(2)]
	text := strings.Join(lines, end)
	if room := size - len(text); room > 1 {
		text += "\n" + comment + strings.Repeat(" ", room-1-len(comment))
	} else {
		text += strings.Repeat("\n", max(room, 0))
	}
	return []byte(text)
}

// member has a key of its own: a number before the word.
func (g generator) member(i int) string {
	return `"` + strconv.Itoa(i) + " " + g.word()[1:] + ":" + g.word()
}
