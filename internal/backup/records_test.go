package backup

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
)

var someRecords = []Record{
	{Kind: 't', Meta: []byte(`{"name":"acme"}`), Content: []byte{}},
	{Kind: 'r', Meta: []byte(`{}`), Content: random(3 * growBy)},
	{Kind: 'd', Meta: []byte{}, Content: []byte{0}},
	{Kind: 'z', Meta: bytes.Repeat([]byte(" "), growBy+1), Content: []byte{}},
}

func written(t testing.TB, records ...Record) []byte {
	t.Helper()
	var out bytes.Buffer
	for _, r := range records {
		if err := WriteRecord(&out, r); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func readRecords(r *Records) (all []Record, err error) {
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, rec)
	}
}

func TestRecordsReadAsTheyWereWritten(t *testing.T) {
	text := written(t, someRecords...)
	got, err := readRecords(ReadRecords(bytes.NewReader(text), 8<<20, int64(len(text))))
	if diff := cmp.Diff(someRecords, got); diff != "" || err != nil {
		t.Errorf("%v, (-want +got):\n%s", err, diff)
	}
}

func TestRecordsBeyondTheBoundsAreRefused(t *testing.T) {
	text := written(t, someRecords...)
	for _, tt := range []struct {
		name           string
		content, total int64
		want           int
	}{
		{"content", 3*growBy - 1, 1 << 40, 1},
		{"all", 8 << 20, int64(len(text)) - 1, 3},
		{"nothing", 0, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readRecords(ReadRecords(bytes.NewReader(text), tt.content, tt.total))
			if config.KindOf(err) != config.TooLarge || !errors.Is(err, ErrTooMuch) || len(got) != tt.want {
				t.Errorf("want %d records, then too large; got %d, %v", tt.want, len(got), err)
			}
		})
	}
	if err := WriteRecord(io.Discard, Record{Meta: make([]byte, maxMeta+1)}); config.KindOf(err) != config.TooLarge {
		t.Errorf("want too large, got %v", err)
	}
	if _, err := ReadRecords(strings.NewReader("t\xff\xff\xff\xff\x00\x00\x00\x00"), 1, 1<<40).Next(); config.KindOf(err) != config.Invalid {
		t.Errorf("want invalid, got %v", err)
	}
}

func TestARecordCutOffAnywhereIsRefused(t *testing.T) {
	text := written(t, someRecords[0], someRecords[2])
	first := len(written(t, someRecords[0]))
	for n := range text {
		got, err := readRecords(ReadRecords(bytes.NewReader(text[:n]), 1<<20, 1<<20))
		if whole := n == 0 || n == first; whole != (err == nil) || err != nil && config.KindOf(err) != config.Invalid {
			t.Errorf("of %d bytes: got %d, %v", n, len(got), err)
		}
	}
}

// TestBackupsAndExportsAreNotTakenForEachOther holds the two sorts of files apart.
func TestBackupsAndExportsAreNotTakenForEachOther(t *testing.T) {
	export := sample
	export.Tenant, export.Engine, export.Prefix = "acme", "", ""
	var out bytes.Buffer
	if _, err := Write(t.Context(), &out, export, func(_ context.Context, w io.Writer) (int64, error) {
		return 7, WriteRecord(w, someRecords[0])
	}); err != nil {
		t.Fatal(err)
	}
	h, r, err := OpenTenant(bytes.NewReader(out.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(export, h); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if got, err := readRecords(ReadRecords(r, 1, 1<<20)); err != nil || len(got) != 1 || r.Info().Revision != 7 {
		t.Errorf("want the record, got %d, %v", len(got), err)
	}
	backup, _ := made(t, nil, 42)
	for name, tt := range map[string]struct {
		open func(io.Reader) (Header, *Reader, error)
		file []byte
		want string
	}{
		"an export for a backup":   {Open, out.Bytes(), "setpoint tenant import"},
		"a backup for an export":   {OpenTenant, backup, "setpoint restore"},
		"anything for an export":   {OpenTenant, []byte("PK\x03\x04 and so on and on"), "setpoint tenant export"},
		"too little for an export": {OpenTenant, []byte("setpoint"), "setpoint tenant export"},
		"a header in disguise":     {OpenTenant, append([]byte(tenantMagic), backup[len(magic):]...), "something else"},
	} {
		if _, _, err := tt.open(bytes.NewReader(tt.file)); config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: want it refused with %q, got %v", name, tt.want, err)
		}
	}
}

func FuzzRecords(f *testing.F) {
	f.Add(written(f, someRecords[0], someRecords[2]))
	f.Add([]byte("t\x00\x00\x00\x02\x00\x00\x00\x01{}"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, text []byte) {
		r := ReadRecords(bytes.NewReader(text), 1<<16, 1<<18)
		all, err := readRecords(r)
		if err == nil && !bytes.Equal(written(t, all...), text) {
			t.Error("want the records to be all that was there")
		}
	})
}
