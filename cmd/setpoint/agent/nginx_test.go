//go:build unix

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/setpointhq/setpoint/client/clienttest"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/freeport"
)

// nginx is the real one, with a folder and a port of its own.
type nginx struct {
	program, dir, addr string
	cmd                *exec.Cmd
}

func startNginx(t *testing.T) *nginx {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		program = "/usr/sbin/nginx" // where only administrators look
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("nginx is not installed; 'make test-deps' sees to it: %v", err)
	}
	n := &nginx{program: program, dir: t.TempDir(), addr: freeport.For(t)}
	if err := os.Mkdir(filepath.Join(n.dir, "conf.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(n.dir, "nginx.conf"), strings.ReplaceAll(`
daemon off;
worker_processes 1;
pid $DIR/nginx.pid;
error_log $DIR/error.log notice;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path $DIR/t1; proxy_temp_path $DIR/t2; fastcgi_temp_path $DIR/t3; uwsgi_temp_path $DIR/t4; scgi_temp_path $DIR/t5;
    include $DIR/conf.d/*.conf;
}
`, "$DIR", n.dir), 0o600)
	n.cmd = exec.Command(program, "-p", n.dir, "-e", filepath.Join(n.dir, "error.log"), "-c", "nginx.conf")
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := n.cmd.Wait(); err != nil {
			t.Errorf("nginx: %v", err)
		}
		if t.Failed() {
			t.Logf("nginx's log:\n%s", read(filepath.Join(n.dir, "error.log")))
		}
	})
	until(t, "nginx", func() bool {
		return strings.TrimSpace(read(filepath.Join(n.dir, "nginx.pid"))) == fmt.Sprint(n.cmd.Process.Pid)
	})
	return n
}

// says is a config of nginx that answers with a text.
func (n *nginx) says(text string) string {
	return fmt.Sprintf("server {\n    listen %s;\n    location / { return 200 %q; }\n}\n", n.addr, text)
}

// get asks nginx, over a connection of its own: by that one it is always the
// newest worker that answers.
func (n *nginx) get() (string, error) {
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get("http://" + n.addr)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

// A real nginx is changed time and again without a restart, serves on when it is
// given what it cannot read, and is there all the time.
func TestNginx(t *testing.T) {
	n, s := startNginx(t), clienttest.NewServer(t)
	const path = "acme/shop/prod/nginx.conf"
	a := launch(t, s, t.TempDir(), strings.NewReplacer("$NGINX", n.program, "$PREFIX", n.dir).Replace(`
instance: web-1
state_dir: $DIR/state
retry: {attempts: 2, first: 1ms, most: 1ms}
groups:
  - files: [{config: acme/shop/prod/nginx.conf, to: $PREFIX/conf.d/shop.conf}]
    check: [$NGINX, -p, $PREFIX, -e, $PREFIX/error.log, -c, nginx.conf, -t]
    reload: [$NGINX, -p, $PREFIX, -e, $PREFIX/error.log, -c, nginx.conf, -s, reload]
`), false, nil)
	defer func() {
		if err := a.end(); err != nil {
			t.Error(err)
		}
	}()
	serves := func(want string) {
		t.Helper()
		until(t, "nginx to answer "+want, func() bool {
			got, err := n.get()
			return err == nil && got == want
		})
	}

	s.Put(path, n.says("one"))
	serves("one")
	ctx, stop := context.WithCancel(t.Context())
	var visitors sync.WaitGroup
	visits := 0
	visitors.Go(func() {
		for ctx.Err() == nil {
			got, err := n.get()
			if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
				continue // a worker of nginx that ends hangs up on who has not asked yet
			}
			if err != nil || got != "one" && got != "two" && got != "four" {
				t.Errorf("a visitor got %q, %v", got, err)
				return
			}
			visits++
		}
	})
	s.Put(path, n.says("two"))
	serves("two")
	said(t, s, 2, config.AckApplied)

	s.Put(path, "server {\n    listen "+n.addr+";\n    no_such_thing on;\n}\n")
	if r := said(t, s, 3, config.AckRefused); !strings.Contains(r.Why, `unknown directive "no_such_thing" in `+n.dir+`/conf.d/shop.conf:3`) {
		t.Errorf("want to be told what nginx says, got %q", r.Why)
	}
	serves("two")
	if want, got := n.says("two"), read(filepath.Join(n.dir, "conf.d", "shop.conf")); want != got {
		t.Errorf("want the file of before in place, got %q", got)
	}

	s.Put(path, n.says("four"))
	serves("four")
	stop()
	visitors.Wait()
	t.Logf("%d visitors had an answer each", visits)
	if want, got := fmt.Sprint(n.cmd.Process.Pid), strings.TrimSpace(read(filepath.Join(n.dir, "nginx.pid"))); want != got {
		t.Errorf("want the same nginx, %s, got %s", want, got)
	}
}
