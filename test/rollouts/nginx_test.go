package rollouts

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/setpointhq/setpoint/test/program"
)

// kept is an nginx whose configuration the agent keeps.
type kept struct {
	*web
	agent  *program.Process
	status string // the agent's status file
}

// nginxConf has nginx answer as the application does. What is in double braces
// is the agent's to fill in.
const nginxConf = `daemon off;
pid DIR/nginx.pid;
error_log stderr warn;
worker_processes 1;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path DIR/tmp; proxy_temp_path DIR/tmp; fastcgi_temp_path DIR/tmp;
  uwsgi_temp_path DIR/tmp; scgi_temp_path DIR/tmp;
  server {
    listen ADDR;
    location / {
      default_type application/json;
      return 200 '{"N":{{ (json "ENV/limits.json").n }},"Version":{{ version "ENV/limits.json" }},"Mark":{{ version "ENV/mark.json" }}}';
    }
  }
}
`

// startNginx starts an nginx as operators do: an agent brings its files in step
// once, then it starts, and an agent keeps them.
func startNginx(h *house, id string) *kept {
	h.Helper()
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		nginx = "/usr/sbin/nginx"
	}
	dir := filepath.Join(h.dir, "nginx")
	conf := filepath.Join(dir, "nginx.conf")
	k := &kept{web: newWeb(h, "nginx", nginx, "-p", dir, "-c", conf, "-e", "stderr"), status: filepath.Join(dir, "status.json")}
	fill := strings.NewReplacer("DIR", dir, "ADDR", k.addr, "ENV", shop, "NGINX", nginx, "CONF", conf, "ID", id, "STATUS", k.status)
	h.file("nginx/nginx.conf.tmpl", fill.Replace(nginxConf))
	settings := h.file("nginx/agent.yaml", fill.Replace(`
instance: ID
state_dir: DIR/agent
status_file: STATUS
groups:
  - name: nginx
    files:
      - {template_file: nginx.conf.tmpl, to: CONF}
    check_new: NGINX -t -q -p DIR -e stderr -c "$SETPOINT_NEW_1"
    reload: '[ ! -s DIR/nginx.pid ] || NGINX -p DIR -e stderr -c CONF -s reload'
`))
	h.mustCLI("agent", "--config", settings, "--once")
	k.start()
	k.agent = h.newProcess("agent", binary, "agent", "--config", settings)
	k.agent.Env = append(k.agent.Env, h.environ()...)
	h.must(k.agent.Launch())
	h.must(k.agent.Until("the agent to keep files", patience, func() bool {
		pid, err := k.keeper()
		return err == nil && pid == k.agent.PID()
	}))
	return k
}

// keeper is the number of the agent's process, by its status file.
func (k *kept) keeper() (pid int, err error) {
	text, err := os.ReadFile(k.status)
	if err != nil {
		return 0, err
	}
	var s struct {
		PID       int
		Connected bool
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return 0, err
	}
	if !s.Connected {
		return 0, fmt.Errorf("the agent is not connected: %s", text)
	}
	return s.PID, nil
}
