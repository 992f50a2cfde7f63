package lab

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	code, done, err := Enter()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if done {
		os.Exit(code)
	}
	goleak.VerifyTestMain(m)
}

// network makes machines by name.
func network(t *testing.T, names ...string) []*Host {
	t.Helper()
	n, err := NewNet(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	var hosts []*Host
	for _, name := range names {
		h, err := n.Add(name)
		if err != nil {
			t.Fatal(err)
		}
		hosts = append(hosts, h)
	}
	return hosts
}

// listen answers on a machine until the test ends.
func listen(t *testing.T, h *Host) string {
	t.Helper()
	var l net.Listener
	if err := h.within(func() (err error) {
		l, err = net.Listen("tcp", h.Addr+":80")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// reaches reports whether a connection comes about.
func reaches(h *Host, addr string) bool {
	return h.within(func() error {
		conn, err := net.DialTimeout("tcp", addr, 300*time.Millisecond)
		if err == nil {
			conn.Close()
		}
		return err
	}) == nil
}

func TestCutAndHeal(t *testing.T) {
	hosts := network(t, "a", "b", "c")
	a, b, c := hosts[0], hosts[1], hosts[2]
	addr := map[*Host]string{a: listen(t, a), b: listen(t, b), c: listen(t, c)}
	want := func(from, to *Host, reached bool) {
		t.Helper()
		if got := reaches(from, addr[to]); got != reached {
			t.Errorf("%s reaches %s: want %v, got %v", from.Name, to.Name, reached, got)
		}
	}
	want(a, b, true)
	heal, err := Cut([]*Host{a}, a.Others(hosts))
	if err != nil {
		t.Fatal(err)
	}
	want(a, b, false)
	want(b, a, false)
	want(c, a, false)
	want(b, c, true)
	if conn, err := net.DialTimeout("tcp", addr[a], 3*time.Second); err != nil {
		t.Errorf("the test itself is cut off: %v", err)
	} else {
		conn.Close()
	}
	if err := heal(); err != nil {
		t.Fatal(err)
	}
	want(a, b, true)
	want(c, a, true)
}

func TestSlowLink(t *testing.T) {
	h := network(t, "a")[0]
	restore, err := h.Slow("1mbit")
	if err != nil {
		t.Fatal(err)
	}
	if err := restore(); err != nil {
		t.Fatal(err)
	}
}

func TestSmallDisk(t *testing.T) {
	dir := t.TempDir()
	unmount, err := SmallDisk(dir, 8<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unmount(); err != nil {
			t.Error(err)
		}
	})
	if err := Fill(filepath.Join(dir, "fill"), 1<<20); err != nil {
		t.Fatal(err)
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		t.Fatal(err)
	}
	if free := int64(disk.Bavail) * disk.Bsize; free > 1<<20 || free < 1<<19 {
		t.Errorf("want about 1 MiB free, got %d bytes", free)
	}
	if err := os.WriteFile(filepath.Join(dir, "more"), make([]byte, 2<<20), 0o600); err == nil {
		t.Error("a full disk took more")
	}
}

// A process that flushes takes as long as it is told to.
func TestSlowDisk(t *testing.T) {
	cmd := exec.Command("sh", "-c", "read go; exec sync "+t.TempDir())
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	const longer = 300 * time.Millisecond
	restore, err := SlowDisk(cmd.Process.Pid, longer)
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	fmt.Fprintln(in, "go")
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took < longer {
		t.Errorf("want a flush to take %s longer; all took %s", longer, took)
	}
	if err := restore(); err != nil {
		t.Error(err)
	}
}
