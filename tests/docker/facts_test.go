package docker

import (
	"fmt"
	"net/netip"
	"os"
	"strings"

	"vethscope/ops/netns"
)

// facts is what was found on one side, by what it is about.
type facts map[string]string

// collect makes the networks of a side one after the other, looks at each, and
// takes it back.
func collect(s sideOf) map[string]facts {
	of := map[string]func(facts, sideOf){
		"bridge": ofBridge, "none": ofNone, "host": ofHost, "container": ofContainer, "macvlan": ofMacvlan, "overlay": ofOverlay,
	}
	found := map[string]facts{}
	for _, mode := range compared {
		fmt.Fprintln(os.Stderr, mode)
		found[mode] = facts{}
		of[mode](found[mode], s)
	}
	return found
}

func ofBridge(f facts, s sideOf) {
	defer s.bridge()()
	for _, c := range []string{"web-1", "web-2"} {
		f.inside(c)
		f["the host's end of "+c] = hostEnd(c)
	}
	f["the bridge"] = describe(linkOf("", "web"))
	f["the bridge's IPv4"] = addrs("", "web", "inet")
	f["ip_forward"] = parameter("net/ipv4/ip_forward")
	f.rules("", "web")
	serve("web-1", func() {
		for _, from := range []string{"outside", "", "web-1", "web-2"} {
			f["request to 10.10.0.1:8080 from "+label(from)] = get(from, "10.10.0.1:8080")
		}
		f["request to 127.0.0.1:8080 from the host"] = get("", "127.0.0.1:8080")
		f["request to 172.18.0.2:80 from web-2"] = get("web-2", "172.18.0.2:80")
	})
	f.pings("web-1", "172.18.0.3", "172.18.0.1", "10.10.0.2")
	f.pings("", "172.18.0.2")
	f.pings("outside", "172.18.0.2")
	f["web-1 asks for web-2"] = lookup("web-1", "web-2", s.nameServer())
}

func ofNone(f facts, s sideOf) {
	defer s.none()()
	f.inside("alone")
	f.pings("alone", "127.0.0.1", "10.10.0.2")
}

func ofHost(f facts, s sideOf) {
	path, undo := s.host()
	defer undo()
	f["namespace"] = same(path, netns.Self, "the host's")
	f["links"] = links(path)
}

func ofContainer(f facts, s sideOf) {
	defer s.bridge()()
	defer s.container()()
	f["namespace"] = same(netns.Path("beside"), netns.Path("web-1"), "web-1's")
	f.inside("beside")
	serve("web-1", func() { f["request to 127.0.0.1:80 from beside"] = get("beside", "127.0.0.1:80") })
}

func ofMacvlan(f facts, s sideOf) {
	defer s.macvlan()()
	for _, c := range []string{"lan-1", "lan-2"} {
		f.inside(c)
		f[c+"'s eth0"] = describe(linkOf(c, "eth0"))
	}
	f["the parent"] = describe(linkOf("", "lan0"))
	f.pings("lan-1", "192.168.50.11", "192.168.50.1", "192.168.50.2")
	f.pings("machine", "192.168.50.10")
	f.pings("", "192.168.50.10")
}

func ofOverlay(f facts, s sideOf) {
	o, undo := s.overlay()
	defer undo()
	a, b := only("ov-a1", "eth0"), only("ov-b1", "eth0")
	for _, c := range []string{"ov-a1", "ov-b1"} {
		f.inside(c)
	}
	f["the vxlan"] = describe(linkOf(o.ns, o.vxlan))
	mac := linkOf("ov-b1", "eth0").Address
	f["forwarding entry for ov-b1"] = after(ip(o.ns, "bridge", "fdb", "show", "dev", o.vxlan), mac+" ")
	f["neighbour entry for ov-b1"] = strings.ReplaceAll(after(ip(o.ns, "ip", "neigh", "show", "dev", o.vxlan), b+" "), mac, "MAC")
	f.rules("ov-a", o.gateway)
	f["ping to ov-b1 from ov-a1"] = ping("ov-a1", b)
	f["ping to ov-a1 from ov-b1"] = ping("ov-b1", a)
	f["ping to the host ov-b from ov-a1"] = ping("ov-a1", "192.168.60.3")
	// Addresses are chosen, and an engine gives some away unseen.
	legs := netip.MustParsePrefix(strings.TrimPrefix(addrs("ov-a", o.gateway, "inet"), o.gateway+" "))
	f["the second legs' subnet"] = legs.Masked().String()
	bits := fmt.Sprintf("/%d", legs.Bits())
	names := strings.NewReplacer(a, "A", b, "B", only("ov-a1", "eth1")+bits, "LEG", only("ov-a1", "eth1"), "LEG",
		only("ov-b1", "eth1")+bits, "LEG", only("ov-b1", "eth1"), "LEG",
		legs.Addr().String(), "GATEWAY", legs.Masked().String(), "LEGS")
	for what, text := range f {
		if what != "the second legs' subnet" {
			f[what] = names.Replace(text)
		}
	}
}
