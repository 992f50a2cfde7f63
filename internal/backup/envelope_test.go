package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/setpointhq/setpoint/config"
)

var sample = Header{
	Installation: "k3vwq2ab", Created: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
	Version: "1.2.3", Engine: "etcd", Prefix: "/setpoint/",
}

// made writes a backup of the content, in writes of odd sizes.
func made(t testing.TB, content []byte, revision int64) ([]byte, Info) {
	t.Helper()
	var out bytes.Buffer
	info, err := Write(t.Context(), &out, sample, func(_ context.Context, w io.Writer) (int64, error) {
		for rest := content; len(rest) > 0; {
			n := min(len(rest), 100_003)
			if _, err := w.Write(rest[:n]); err != nil {
				return 0, err
			}
			rest = rest[n:]
		}
		return revision, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), info
}

// random is content that does not compress, the same at each run.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func open(r io.Reader) ([]byte, Info, error) {
	_, b, err := Open(r)
	if err != nil {
		return nil, Info{}, err
	}
	content, err := io.ReadAll(b)
	return content, b.Info(), err
}

func TestBackupsReadAsTheyWereWritten(t *testing.T) {
	for name, content := range map[string][]byte{
		"nothing":             {},
		"a byte":              {7},
		"text":                []byte(strings.Repeat("a: 1\n", 1000)),
		"one chunk":           random(chunkSize),
		"a byte more":         random(chunkSize + 1),
		"three and a half":    random(3*chunkSize + chunkSize/2),
		"zeros":               make([]byte, 5*chunkSize),
		"random between zero": append(append(make([]byte, chunkSize), random(chunkSize/3)...), make([]byte, chunkSize)...),
	} {
		t.Run(name, func(t *testing.T) {
			file, wrote := made(t, content, 42)
			want := Info{Header: sample, Revision: 42, Size: int64(len(file)), Snapshot: int64(len(content))}
			if diff := cmp.Diff(want, wrote); diff != "" {
				t.Errorf("what Write says (-want +got):\n%s", diff)
			}
			for how, r := range map[string]io.Reader{"at once": bytes.NewReader(file), "by halves": iotest.HalfReader(bytes.NewReader(file)), "with its end": iotest.DataErrReader(bytes.NewReader(file))} {
				got, read, err := open(r)
				if err != nil || !bytes.Equal(content, got) {
					t.Errorf("%s: want %d bytes, got %d, %v", how, len(content), len(got), err)
				}
				if diff := cmp.Diff(want, read); diff != "" {
					t.Errorf("%s: what Open says (-want +got):\n%s", how, diff)
				}
			}
			if sum := sha256.Sum256(file[:len(file)-digestSize]); !bytes.Equal(sum[:], file[len(file)-digestSize:]) {
				t.Error("the last bytes are not the digest of the others")
			}
		})
	}
}

func TestABackupCutOffAnywhereIsRefused(t *testing.T) {
	file, _ := made(t, []byte(strings.Repeat("a: 1\n", 300)), 42)
	for n := range file {
		wantInvalid(t, file[:n])
	}
}

func TestABackupWithABitFlippedAnywhereIsRefused(t *testing.T) {
	file, _ := made(t, []byte(strings.Repeat("a: 1\n", 300)), 42)
	for i := range file {
		for _, bit := range []int{i % 8, (i + 3) % 8} { // all of them would take long under the race detector
			file[i] ^= 1 << bit
			wantInvalid(t, file)
			file[i] ^= 1 << bit
		}
	}
	if _, _, err := open(bytes.NewReader(file)); err != nil {
		t.Errorf("want the whole one taken, got %v", err)
	}
}

func TestWhatIsNoBackupIsRefusedAndSaysWhy(t *testing.T) {
	file, _ := made(t, random(100), 42)
	length := int(binary.BigEndian.Uint32(file[len(magic)+4:]))
	header, chunks := file[:preamble+length], file[preamble+length:]
	// with replaces the header, and signs the whole again.
	with := func(text string) []byte {
		b := append([]byte(magic), 0, 0, 0, version)
		b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
		return sign(append(append(b, text...), chunks[:len(chunks)-digestSize]...))
	}
	for name, tc := range map[string]struct {
		file []byte
		want string
	}{
		"empty":             {nil, "no backup of Setpoint's"},
		"foreign":           {[]byte("PK\x03\x04 some other file, that is long enough"), "no backup of Setpoint's"},
		"shorter":           {[]byte("setpoint"), "no backup of Setpoint's"},
		"newer":             {append([]byte(magic), 0, 0, 0, 2, 9, 9, 9, 9), "version 2 and this program reads up to 1"},
		"form zero":         {append([]byte(magic), 0, 0, 0, 0, 0, 0, 0, 9), "version 0"},
		"huge header":       {append([]byte(magic), 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff), "a header of 4294967295 bytes"},
		"no JSON":           {with("yaml: true"), "no JSON"},
		"path for id":       {with(`{"installation":"../../etc","created":"2026-11-23T12:00:00Z","engine":"etcd"}`), "names no installation"},
		"no engine":         {with(`{"installation":"abc","created":"2026-11-23T12:00:00Z"}`), "names no engine"},
		"no time":           {with(`{"installation":"abc","engine":"etcd"}`), "when it was made"},
		"something follows": {append(bytes.Clone(file), 'x'), "something follows"},
		"twice":             {append(bytes.Clone(file), file...), "something follows"},
		"huge chunk":        {append(bytes.Clone(header), 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1), "a chunk of 4294967295 bytes"},
		"chunk of nothing":  {append(bytes.Clone(header), 0, 0, 0, 9, 0, 0, 0, 0), "that is to hold 0"},
		"huge content":      {append(bytes.Clone(header), 0, 0, 0, 9, 0xff, 0xff, 0xff, 0xff), "that is to hold 4294967295"},
		"bomb":              {sign(bomb(header, 64*chunkSize, chunkSize)), "cannot be decompressed"},
		"understated":       {sign(bomb(header, 1000, 999)), "cannot be decompressed"},
		"overstated":        {sign(bomb(header, 1000, 1001)), "cannot be decompressed"},
		"revision zero":     {sign(append(bytes.Clone(header), make([]byte, 24)...)), "of revision 0"},
		"revision too big":  {sign(append(bytes.Clone(header), append(make([]byte, 16), 0xff, 0, 0, 0, 0, 0, 0, 0)...)), "of revision 18"},
		"wrong length":      {sign(append(bytes.Clone(header), append(make([]byte, 15), 1, 0, 0, 0, 0, 0, 0, 0, 9)...)), "holds 1 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := wantInvalid(t, tc.file); !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want a word of %q, got %v", tc.want, err)
			}
		})
	}
}

// bomb is a chunk that says it holds less, or more, than it does, and a trailer.
func bomb(header []byte, holds, says int) []byte {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err)
	}
	coded := encoder.EncodeAll(make([]byte, holds), nil)
	b := binary.BigEndian.AppendUint32(bytes.Clone(header), uint32(len(coded)))
	b = append(binary.BigEndian.AppendUint32(b, uint32(says)), coded...)
	b = append(b, make([]byte, chunkLengths)...)
	b = binary.BigEndian.AppendUint64(b, uint64(says))
	return binary.BigEndian.AppendUint64(b, 42)
}

// sign appends the digest, so that it is not what is wrong.
func sign(b []byte) []byte {
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

func wantInvalid(t testing.TB, file []byte) error {
	t.Helper()
	_, _, err := open(bytes.NewReader(file))
	if err == nil || config.KindOf(err) != config.Invalid {
		t.Fatalf("want an error of kind invalid for %d bytes, got %v", len(file), err)
	}
	return err
}

func TestFaultsOfTheSourceAreNotTheBackups(t *testing.T) {
	file, _ := made(t, random(3*chunkSize), 42)
	broken := errors.New("the disk is broken")
	for _, n := range []int{0, 10, 30, 1000, len(file) - 20, len(file)} {
		_, _, err := open(io.MultiReader(bytes.NewReader(file[:n]), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) || config.KindOf(err) == config.Invalid {
			t.Errorf("after %d bytes: want the disk's error, got %v", n, err)
		}
	}
}

func TestWhatCannotBeWrittenIsAnError(t *testing.T) {
	broken := errors.New("the line is broken")
	write := func(ctx context.Context, w io.Writer, snapshot func(context.Context, io.Writer) (int64, error)) error {
		_, err := Write(ctx, w, sample, snapshot)
		return err
	}
	much := func(_ context.Context, w io.Writer) (int64, error) {
		_, err := w.Write(random(4 * chunkSize))
		return 1, err
	}
	careless := func(_ context.Context, w io.Writer) (int64, error) {
		_, _ = w.Write(random(4 * chunkSize))
		return 1, nil
	}
	for name, snapshot := range map[string]func(context.Context, io.Writer) (int64, error){"careful": much, "careless": careless} {
		for after := range 5 {
			if err := write(t.Context(), &brittle{after: after, err: broken}, snapshot); !errors.Is(err, broken) {
				t.Errorf("%s, after %d writes: want the line's error, got %v", name, after, err)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := write(ctx, io.Discard, much); config.KindOf(err) != config.Canceled {
		t.Errorf("want it canceled, got %v", err)
	}
	if err := write(t.Context(), io.Discard, func(context.Context, io.Writer) (int64, error) { return 0, broken }); !errors.Is(err, broken) {
		t.Errorf("want the engine's error, got %v", err)
	}
	if err := write(t.Context(), io.Discard, func(context.Context, io.Writer) (int64, error) { return 0, nil }); err == nil {
		t.Error("want a snapshot of no revision refused")
	}
	if _, err := Write(t.Context(), io.Discard, Header{}, much); err == nil {
		t.Error("want an empty header refused")
	}
}

// brittle is a writer that breaks after some writes.
type brittle struct {
	after int
	err   error
}

func (b *brittle) Write(p []byte) (int, error) {
	if b.after--; b.after < 0 {
		return 0, b.err
	}
	return len(p), nil
}

// FuzzOpen looks for input that makes the reader panic, or take what is not
// exactly what Write writes.
func FuzzOpen(f *testing.F) {
	for _, content := range [][]byte{nil, []byte("a: 1\n"), make([]byte, chunkSize+1)} {
		file, _ := made(f, content, 42)
		f.Add(file)
		f.Add(file[:len(file)/2])
		f.Add(append(bytes.Clone(file), 0))
	}
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, file []byte) {
		content, info, err := open(bytes.NewReader(file))
		if err != nil {
			if config.KindOf(err) != config.Invalid {
				t.Errorf("want it invalid, got %v", err)
			}
			return
		}
		if info.Size != int64(len(file)) || info.Snapshot != int64(len(content)) || info.Revision <= 0 {
			t.Errorf("took %d bytes with %d in them for %+v", len(file), len(content), info)
		}
	})
}
