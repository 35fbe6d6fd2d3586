package modes

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"golang.org/x/sys/unix"

	"vethscope/ops/modes"
	"vethscope/ops/sandbox/sandboxtest"
)

func overlay() modes.Overlay {
	return modes.Overlay{Name: "red", Hosts: 2, Subnet: "10.0.1.0/24", VNI: 4097}
}

// TestC5Overlay: two hosts, one subnet, VNI 4097 on UDP 4789, MTU 1450 inside and
// 1500 on the second leg, which leads to the world outside.
func TestC5Overlay(t *testing.T) {
	o := overlay()
	o.GwBridge, o.IPv6 = true, "fd01::/64"
	p := create(t, o)
	prove(t, p)
	for i, host := range []string{"red-a", "red-b"} {
		vx := links(t, host)["vx-red"]
		data := vx.Details.Data
		if vx.MTU != 1450 || vx.Master != "red" || data["id"] != 4097.0 || data["port"] != 4789.0 || data["learning"] != false || data["proxy"] != true || data["local"] != p.Made.Hosts[i].Addr {
			t.Errorf("%s: vxlan %+v", host, vx)
		}
		c := links(t, p.Made.Containers[i].Name)
		if c["eth0"].MTU != 1450 || c["eth1"].MTU != 1500 || !c["eth0"].has(p.Made.Containers[i].Addr) || !c["eth0"].has(p.Made.Containers[i].Addr6) {
			t.Errorf("%s: links %+v", p.Made.Containers[i].Name, c)
		}
		other := p.Made.Hosts[1-i]
		if fdb := sandboxtest.Run(t, host, "bridge", "fdb", "show", "dev", "vx-red"); !strings.Contains(fdb, "dst "+other.Addr+" self permanent") {
			t.Errorf("%s does not know what is behind %s:\n%s", host, other.Addr, fdb)
		}
		if r := routes(t, p.Made.Containers[i].Name); !strings.HasPrefix(r[0], "default via ") || !strings.HasSuffix(r[0], "dev eth1") {
			t.Errorf("routes %v, want the default by eth1", r)
		}
	}
}

// TestC5OuterPacket: what travels between the hosts is a UDP packet from VTEP to
// VTEP with the whole inner packet in it.
func TestC5OuterPacket(t *testing.T) {
	p := create(t, overlay())
	prove(t, p) // also waits until the links have their carrier
	a, b := p.Made.Containers[0], p.Made.Containers[1]
	wire := listen(t, "v-red-a") // where the packet leaves its host
	reach(t, a.Name, b.Addr, true, "across hosts")
	packet := wire(func(packet gopacket.Packet) bool {
		vx, ok := packet.Layer(layers.LayerTypeVXLAN).(*layers.VXLAN)
		inner, ok2 := packet.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4)
		return ok && ok2 && vx.VNI == 4097 && inner.TypeCode.Type() == layers.ICMPv4TypeEchoRequest
	})
	var ips, macs []string
	for _, l := range packet.Layers() {
		switch l := l.(type) {
		case *layers.IPv4:
			ips = append(ips, l.SrcIP.String()+" > "+l.DstIP.String())
		case *layers.Ethernet:
			macs = append(macs, l.SrcMAC.String()+" > "+l.DstMAC.String())
		}
	}
	outer, inner := p.Made.Hosts[0].Addr+" > "+p.Made.Hosts[1].Addr, a.Addr+" > "+b.Addr
	if !slices.Equal(ips, []string{outer, inner}) {
		t.Errorf("addresses %v, want %s outside and %s inside", ips, outer, inner)
	}
	if want := links(t, a.Name)["eth0"].MAC + " > " + links(t, b.Name)["eth0"].MAC; len(macs) != 2 || macs[1] != want {
		t.Errorf("MACs %v, want the containers' own inside: %s", macs, want)
	}
	if udp, ok := packet.Layer(layers.LayerTypeUDP).(*layers.UDP); !ok || udp.DstPort != 4789 {
		t.Errorf("outer UDP %v, want port 4789", udp)
	}
}

// listen opens a packet socket on a link of the host: the port of a bridge, as a
// bridge itself shows only what is for the host. find waits for the packet that
// matches.
func listen(t *testing.T, name string) (find func(match func(gopacket.Packet) bool) gopacket.Packet) {
	t.Helper()
	const all = 0x0300 // ETH_P_ALL in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: links(t, "")[name].Index}),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10})); err != nil {
		t.Fatal(err)
	}
	return func(match func(gopacket.Packet) bool) gopacket.Packet {
		t.Helper()
		buf := make([]byte, 65536)
		for {
			n, err := unix.Read(fd, buf)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				t.Fatalf("the packet was not seen on %s: %v", name, err)
			}
			if p := gopacket.NewPacket(buf[:n], layers.LayerTypeEthernet, gopacket.Default); match(p) {
				return p
			}
		}
	}
}

// TestC5Networks: several overlays on the same hosts, told apart by their VNI, even
// with the same subnet; and one on hosts of its own.
func TestC5Networks(t *testing.T) {
	prove(t, create(t, overlay()))
	same := overlay()
	same.Name, same.Join, same.VNI = "blue", "red", 4098
	prove(t, create(t, same))
	other := same
	other.Name, other.VNI, other.Subnet = "green", 1<<24-1, "10.0.2.0/24"
	p := create(t, other)
	apart := 0
	for _, o := range prove(t, p) {
		if !o.Want && strings.Contains(o.Why, "VNI") {
			apart++
		}
	}
	if apart != 2 {
		t.Errorf("%d proofs that green is apart from red and blue, want 2", apart)
	}
	own := overlay()
	own.Name = "own"
	prove(t, create(t, own))
	remove(t, "red")
	if out := sandboxtest.Run(t, "", "ip", "netns"); strings.Contains(out, "blue") || strings.Contains(out, "green") || !strings.Contains(out, "own-a1") {
		t.Errorf("after the hosts went: %s", out)
	}
}

// TestC5Multicast: without fixed entries, the hosts learn where a container is.
func TestC5Multicast(t *testing.T) {
	o := overlay()
	o.Hosts, o.Learning, o.Port, o.UnderlayMTU = 3, "multicast", 8472, 9000
	p := create(t, o)
	if fdb := sandboxtest.Run(t, "red-a", "bridge", "fdb", "show", "dev", "vx-red"); !strings.Contains(fdb, "00:00:00:00:00:00 dst 239.0.16.1") || strings.Count(fdb, "self permanent") != 1 {
		t.Errorf("want no fixed entry but the group, for whatever else:\n%s", fdb)
	}
	prove(t, p)
	fdb := sandboxtest.Run(t, "red-a", "bridge", "fdb", "show", "dev", "vx-red")
	mac := links(t, "red-c1")["eth0"].MAC
	if !strings.Contains(fdb, mac+" dst "+p.Made.Hosts[2].Addr+" self") {
		t.Errorf("red-a has not learned where %s is:\n%s", mac, fdb)
	}
	if l := links(t, "red-a1")["eth0"]; l.MTU != 8950 {
		t.Errorf("MTU %d inside jumbo frames, want 8950", l.MTU)
	}
}

// TestC5Again: taken back and made again at once, although the kernel takes its
// time to let go.
func TestC5Again(t *testing.T) {
	for range 5 {
		p := create(t, overlay())
		if _, err := executor().Delete(t.Context(), p.Name); err != nil {
			t.Fatal(err)
		}
	}
	prove(t, create(t, overlay()))
}
