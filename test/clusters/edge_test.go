package clusters

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/test/program"
)

// TestEdgeServesLikeAMember has an edge do what members do, while they die one
// after the other.
func TestEdgeServesLikeAMember(t *testing.T) {
	t.Parallel()
	h, nodes := foundedBy(t, "n1", "n2", "n3")
	n1, n2, n3 := nodes[0], nodes[1], nodes[2]
	program.Envs(t, n1.root(), "acme/shop/prod")
	e := h.joins("e1", n1, "--edge")
	e.ready()
	h.roles(e, map[string]config.Role{"n1": config.Voter, "n2": config.Voter, "n3": config.Voter, "e1": config.Edge})

	// Whoever writes reads it everywhere, in whichever direction.
	for i, n := range slices.Repeat(nodes, 3) {
		content := fmt.Sprintf("v: %d\n", i)
		n.reads(app, content+"# by e1\n", e.write(app, content+"# by e1\n").Revision)
		e.reads(app, content, n.write(app, content).Revision)
	}

	// It is a node to people, too: where it says that one can log in, one can.
	line := e.loginLine()
	if want := "--ca-file " + filepath.Join(e.data, "cluster", "ca.pem"); !strings.Contains(line, want) {
		t.Errorf("want to be told to log in with %q, got %q", want, line)
	}
	e.loginAsTold(line)

	// Its members die and come back: reads and watches do not stop, writes go on.
	w := e.watches("i1")
	for i, n := range nodes {
		n.kill9()
		content := fmt.Sprintf("without: %s\n", n.name)
		var written config.Token
		h.await("a write through the edge", func() bool {
			set, err := e.publish(app, content)
			written = set.Revision
			return err == nil
		})
		others := slices.Delete(slices.Clone(nodes), i, i+1)
		others[0].reads(app, content, written)
		e.reads(app, content, written)
		h.await("news on the watch", func() bool { return w.has("app.yaml", content) })
		n.restart()
		h.roles(n, map[string]config.Role{"n1": config.Voter, "n2": config.Voter, "n3": config.Voter, "e1": config.Edge})
	}

	// It starts while the member that let it in is down, and needs no token.
	e.stop()
	n1.kill9()
	e.process.Args = []string{"serve", "--name", "e1", "--edge", "--join", n1.peer}
	e.restart()
	n3.reads(app, "v: end\n", e.write(app, "v: end\n").Revision)
	e.reads(app, "v: last\n", n2.write(app, "v: last\n").Revision)
	if _, err := os.Stat(filepath.Join(e.data, "etcd")); !os.IsNotExist(err) {
		t.Errorf("want no engine's data on an edge, got %v", err)
	}
}

// loginLine is what the node has said last about logging in.
func (n *node) loginLine() (line string) {
	n.house.Helper()
	err := n.process.Until(n.name+" to say how to log in", patience, func() bool {
		all := strings.Split(n.process.Out(), "Log in:")
		line = strings.TrimSpace(all[len(all)-1])
		return len(all) > 1
	})
	if err != nil {
		n.house.Fatal(err)
	}
	return line
}

// loginAsTold logs in as the node tells people to.
func (n *node) loginAsTold(line string) {
	n.house.Helper()
	password := filepath.Join(n.house.dir, "password")
	if err := os.WriteFile(password, []byte(n.house.password.Reveal()+"\n"), 0o600); err != nil {
		n.house.Fatal(err)
	}
	args := append(strings.Fields(line)[1:], "--password-stdin")
	if out, text, err := n.house.piped(password, args...); err != nil {
		n.house.Errorf("%s: %v\n%s%s", line, err, out, text)
	}
}

// TestInstancesAndTokensAreTheClusters asks each node about what is on others.
func TestInstancesAndTokensAreTheClusters(t *testing.T) {
	t.Parallel()
	h, nodes := foundedBy(t, "n1", "n2", "n3")
	n1, n2, n3 := nodes[0], nodes[1], nodes[2]
	program.Envs(t, n1.root(), "acme/shop/prod")
	e := h.joins("e1", n1, "--edge")
	e.ready()
	all := append(slices.Clone(nodes), e)

	var want []string
	for _, n := range all {
		n.watches("on-" + n.name)
		want = append(want, "on-"+n.name+" at "+n.name)
	}
	slices.Sort(want)
	for _, n := range all {
		h.await("all instances, asked of "+n.name, func() bool {
			got, err := n.root().Instances(h.Context(), program.Path(t, "acme/shop/prod"))
			return err == nil && len(got.Silent) == 0 && slices.Equal(want, places(got))
		})
	}

	// A token that is revoked on one node is good on none.
	program.Path(t, "acme/shop/prod")
	if _, err := n1.root().CreateUser(h.Context(), client.NewUser{Name: "robot", Service: true}); err != nil {
		t.Fatal(err)
	}
	token, err := n2.root().CreateToken(h.Context(), client.NewToken{User: "robot"})
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]*client.Client{}
	for _, n := range all {
		known[n.name] = n.as(n.process.Secret(token.Secret))
		h.await("the token to be good on "+n.name, func() bool { _, err := known[n.name].WhoAmI(h.Context()); return err == nil })
	}
	if err := n3.root().RevokeToken(h.Context(), token.ID); err != nil {
		t.Fatal(err)
	}
	since := time.Now()
	for _, n := range all {
		h.await("the token to be refused by "+n.name, func() bool {
			_, err := known[n.name].WhoAmI(h.Context())
			return config.KindOf(err) == config.Unauthenticated
		})
	}
	t.Logf("the token was refused on all nodes after %s", time.Since(since))

	// Who does not answer is named.
	n2.kill9()
	out, text, err := n3.command("instances", "acme/shop/prod")
	if err != nil || !strings.Contains(text, "no answer from n2: who is connected there is not listed") ||
		!strings.Contains(out, "on-e1") || !strings.Contains(out, "on-n1") || strings.Contains(out, "on-n2") {
		t.Errorf("want n2 named and the others listed, got %v\n%s%s", err, out, text)
	}
	out, text, err = n3.command("cluster", "status")
	if err == nil || !strings.Contains(out, "problem: n2: ") {
		t.Errorf("want n2's problem told, and an exit code, got %v\n%s%s", err, out, text)
	}
}

func places(all client.InstanceList) (found []string) {
	for _, i := range all.Instances {
		found = append(found, i.ID+" at "+i.Node)
	}
	slices.Sort(found)
	return found
}
