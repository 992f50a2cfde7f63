package yaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sort"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"

	"github.com/setpointhq/setpoint/format"
)

// reader reads one stream of documents.
type reader struct {
	*format.Report
	input   []byte // what the library reads: the content, but for directives
	line    int    // how many lines come before the part that the library reads
	foreign []int  // where lines begin for the library, if that differs from Source
	tree
}

func newReader(content []byte) *reader { return &reader{Report: format.NewReport(content)} }

// stream reads all documents. After a mistake of syntax it goes on with the
// next document: "---" at the beginning of a line begins one, whatever came
// before it.
func (r *reader) stream() []*format.Node {
	if !r.Text() || !r.characters() {
		return nil
	}
	r.input = withVersion11(r.Content())
	var documents []*format.Node
	for from := 0; from >= 0 && !r.Full(); {
		read, failure := r.documents(from)
		documents = append(documents, read...)
		if failure == nil {
			break
		}
		from = r.nextDocument(r.explain(failure), from)
	}
	return documents
}

// characters reports what may not stand in YAML at all, and looks for the line
// breaks that the library knows beyond those of Source.
func (r *reader) characters() bool {
	content := r.Content()
	foreign := false
	for i, c := range content {
		switch {
		case c < ' ' && c != '\t' && c != '\n' && c != '\r':
			r.Errorf(i, `write it as an escape in double quotes`, "a control character, U+%04X, is not allowed in YAML", c)
		case c == 0xef && (bytes.HasPrefix(content[i:], []byte("\ufffe")) || bytes.HasPrefix(content[i:], []byte("\uffff"))):
			r.Errorf(i, "", "U+%04X is not allowed in YAML", []rune(string(content[i : i+3]))[0])
		case c == 0xc2 && content[i+1] == 0x85, c == 0xe2 && content[i+1] == 0x80 && content[i+2]|1 == 0xa9:
			foreign = true
		}
		if r.Full() {
			break
		}
	}
	if foreign {
		r.foreign = foreignLines(content)
	}
	return !r.Failed()
}

// foreignLines lists where lines begin if next line, line separator and
// paragraph separator end them too, as in YAML 1.1.
func foreignLines(content []byte) []int {
	starts := []int{0}
	for i := 0; i < len(content); {
		c, size := utf8.DecodeRune(content[i:])
		i += size
		switch {
		case c == '\r' && i < len(content) && content[i] == '\n':
		case c == '\n', c == '\r', c == 0x85, c == 0x2028, c == 0x2029:
			starts = append(starts, i)
		}
	}
	return starts
}

// offset finds a place of the library's in the content.
func (r *reader) offset(line, column int) int {
	line += r.line
	if r.foreign == nil {
		if line > r.Lines() {
			return len(r.Content())
		}
		return r.Offset(line, column)
	}
	if line > len(r.foreign) {
		return len(r.Content())
	}
	at := r.foreign[max(line, 1)-1]
	for ; column > 1 && at < len(r.Content()); column-- {
		_, size := utf8.DecodeRune(r.Content()[at:])
		at += size
	}
	return at
}

// place is where a node stands. Columns are characters to the library as well,
// so that only foreign line breaks need the way through the content.
func (r *reader) place(n *yaml.Node) (line, column int) {
	if r.foreign == nil {
		return n.Line + r.line, n.Column
	}
	return r.Position(r.offset(n.Line, n.Column))
}

// documents reads from an offset to the end, or to a mistake of syntax.
func (r *reader) documents(from int) (read []*format.Node, failure *yaml.LoadError) {
	r.line = r.lineOf(from)
	loader, err := yaml.NewLoader(bytes.NewReader(r.input[from:]), yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(format.MaxDepth))))
	for err == nil {
		var document yaml.Node
		if err = load(loader, &document); err == nil && len(document.Content) > 0 {
			read = append(read, r.document(document.Content[0]))
		}
		if r.Full() {
			return read, nil
		}
	}
	switch {
	case errors.Is(err, io.EOF):
		return read, nil
	case errors.As(err, &failure):
		return read, failure
	default:
		return read, &yaml.LoadError{Message: err.Error()}
	}
}

// withVersion11 writes "%YAML 1.2" as "%YAML 1.1", which the library insists on
// although it reads 1.2. Only a line before a document is a directive.
func withVersion11(content []byte) []byte {
	version12 := []byte("%YAML 1.2")
	if !bytes.Contains(content, version12) {
		return content
	}
	content = bytes.Clone(content)
	between := true // documents
	for rest := content; len(rest) > 0; {
		line := rest
		if end := bytes.IndexAny(rest, "\r\n"); end >= 0 {
			line, rest = rest[:end], rest[end+1:]
		} else {
			rest = nil
		}
		switch {
		case bytes.HasPrefix(line, []byte("...")):
			between = true
		case between && bytes.HasPrefix(line, version12) && len(bytes.TrimRight(line, " \t")) == len(version12):
			line[len(version12)-1] = '1'
		case len(line) > 0 && line[0] != '%' && line[0] != '#':
			between = false
		}
	}
	return content
}

// lineOf counts the library's lines before an offset where a line begins.
func (r *reader) lineOf(offset int) int {
	if r.foreign != nil {
		return sort.SearchInts(r.foreign, offset)
	}
	if offset == 0 {
		return 0
	}
	line, _ := r.Position(offset)
	return line - 1
}

// load reads one document. A panic of the library would be a defect of it that
// some content has found; the server must outlive that.
func load(loader *yaml.Loader, to *yaml.Node) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("the YAML reader gave up: %v", cause)
		}
	}()
	return loader.Load(to)
}

// nextDocument returns where the first document after a mistake begins, or -1.
// It is always beyond from.
func (r *reader) nextDocument(mistake, from int) int {
	content := r.Content()
	line, column := r.Position(mistake)
	at := mistake
	if column > 1 { // a line that is wrong further on is not where to go on
		at = len(content)
		if line < r.Lines() {
			at = r.Offset(line+1, 1)
		}
	}
	for at = max(at, from+1); at < len(content); at++ {
		if (content[at-1] == '\n' || content[at-1] == '\r') && isMarker(content[at:]) {
			return at
		}
		next := bytes.IndexAny(content[at:], "\r\n")
		if next < 0 {
			return -1
		}
		at += next
	}
	return -1
}

func isMarker(b []byte) bool {
	return bytes.HasPrefix(b, []byte("---")) && (len(b) == 3 || bytes.IndexByte([]byte(" \t\r\n"), b[3]) >= 0)
}
