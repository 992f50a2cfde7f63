package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"
)

// Net is a network of machines that hang on one switch. The test itself is one
// of its machines and reaches all others, whatever is cut between those.
type Net struct {
	bridge string
	hosts  []*Host
}

// Host is one machine: a network namespace of its own.
type Host struct {
	Name string
	// Addr is its address, without a port.
	Addr string
	net  *Net
	port string // of the switch
}

// nowhere is a hardware address that no machine has. What is sent there is lost
// without a word, as in a network that is cut; a route into a black hole would
// tell the sender.
const nowhere = "02:00:00:00:00:99"

// NewNet makes a network of the test and no other machine yet. The number, from
// 0 to 255, keeps networks of one test apart.
func NewNet(number int) (*Net, error) {
	n := &Net{bridge: fmt.Sprintf("switch%d", number)}
	return n, errors.Join(
		run("ip", "link", "add", n.bridge, "type", "bridge", "forward_delay", "0"),
		run("ip", "addr", "add", fmt.Sprintf("10.77.%d.1/24", number), "dev", n.bridge),
		run("ip", "link", "set", n.bridge, "up"),
	)
}

// Add puts a machine into the network. Close the Net to remove it.
func (n *Net) Add(name string) (*Host, error) {
	var number int
	if _, err := fmt.Sscanf(n.bridge, "switch%d", &number); err != nil {
		return nil, err
	}
	place := len(n.hosts) + 11
	h := &Host{
		Name: fmt.Sprintf("net%d-%s", number, name), Addr: fmt.Sprintf("10.77.%d.%d", number, place),
		net: n, port: fmt.Sprintf("port%d-%d", number, place),
	}
	n.hosts = append(n.hosts, h)
	return h, errors.Join(
		run("ip", "netns", "add", h.Name),
		run("ip", "link", "add", h.port, "type", "veth", "peer", "name", "eth0", "netns", h.Name),
		run("ip", "link", "set", h.port, "master", n.bridge, "up"),
		h.ip("addr", "add", h.Addr+"/24", "dev", "eth0"),
		h.ip("link", "set", "eth0", "up"),
		h.ip("link", "set", "lo", "up"),
	)
}

// Close removes the network and its machines. Nothing may run in them any more.
func (n *Net) Close() error {
	var errs []error
	for _, h := range n.hosts {
		errs = append(errs, run("ip", "link", "del", h.port), run("ip", "netns", "del", h.Name))
	}
	return errors.Join(append(errs, run("ip", "link", "del", n.bridge))...)
}

func (h *Host) ip(args ...string) error {
	return run("ip", append([]string{"-n", h.Name}, args...)...)
}

// Start starts a program on the machine.
func (h *Host) Start(cmd *exec.Cmd) error {
	return h.within(cmd.Start)
}

// within runs fn on a thread that is on the machine; what it starts is, too.
func (h *Host) within(fn func() error) error {
	there, err := os.Open("/run/netns/" + h.Name)
	if err != nil {
		return err
	}
	defer there.Close()
	runtime.LockOSThread()
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer here.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	result := fn()
	if err := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); err != nil {
		// The thread stays locked and so is never used for anything else.
		return errors.Join(result, err)
	}
	runtime.UnlockOSThread()
	return result
}

// Mute loses everything that the machine sends to another one, and nothing that
// comes from there. Nobody is told.
func (h *Host) Mute(to *Host) error {
	return h.ip("neigh", "replace", to.Addr, "lladdr", nowhere, "dev", "eth0", "nud", "permanent")
}

// Unmute ends what Mute began.
func (h *Host) Unmute(to *Host) error {
	return h.ip("neigh", "del", to.Addr, "dev", "eth0")
}

// Cut loses everything between the machines on the one side and those on the
// other, both ways. The returned function heals it.
func Cut(one, other []*Host) (heal func() error, err error) {
	var undo []func() error
	for _, a := range one {
		for _, b := range other {
			err = errors.Join(err, a.Mute(b), b.Mute(a))
			undo = append(undo, func() error { return a.Unmute(b) }, func() error { return b.Unmute(a) })
		}
	}
	return func() error { return all(undo) }, err
}

// Slow makes everything that the machine sends pass through a narrow and late
// link: rate as tc has it ("1mbit"). The returned function ends it.
func (h *Host) Slow(rate string) (restore func() error, err error) {
	err = run("tc", "-n", h.Name, "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", rate, "burst", "32kbit", "latency", "400ms")
	return func() error { return run("tc", "-n", h.Name, "qdisc", "del", "dev", "eth0", "root") }, err
}

// Others are the machines of a list but for this one.
func (h *Host) Others(list []*Host) []*Host {
	return slices.DeleteFunc(slices.Clone(list), func(o *Host) bool { return o == h })
}

func all(steps []func() error) (err error) {
	for _, step := range steps {
		err = errors.Join(err, step())
	}
	return err
}
