package capture

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"vethscope/capture/filter"
	"vethscope/ops/sandbox/sandboxtest"
)

// converse counts records.
func converse(records ...*Record) *Conversations {
	c := NewConversations(0)
	for _, r := range records {
		c.Add(r)
	}
	return c
}

// line tells a conversation in a line.
func line(c *Conversation) string {
	a, b := c.Key.Addrs()
	s := fmt.Sprintf("%d %s %s %s %d/%d %d/%d", c.Number, c.Name(), a, b, c.AB.Packets, c.AB.Bytes, c.BA.Packets, c.BA.Bytes)
	if c.State != TCPNone {
		s += " " + c.State.String()
	}
	if c.Tunnel != NoTunnel {
		s += fmt.Sprintf(" %s %d", TunnelName(c.Tunnel), c.VNI)
	}
	if c.Flow != 0 {
		s += fmt.Sprintf(" flow %d", c.Flow)
	}
	return s
}

func linesOf(c *Conversations) (out []string) {
	for _, one := range c.Snapshot(0, nil) {
		out = append(out, line(&one))
	}
	return out
}

func same(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nnot\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestConversationStates: what the flags of the segments tell.
func TestConversationStates(t *testing.T) {
	const a, b = "10.0.0.1:40000", "10.0.0.2:80"
	steps := []struct {
		p    pkt
		want string
	}{
		{pkt{proto: "tcp", src: a, dst: b, seq: 100, flags: "S"}, "1/60 0/0 opening"},
		{pkt{proto: "tcp", src: a, dst: b, seq: 100, flags: "S"}, "2/120 0/0 opening"},
		{pkt{proto: "tcp", src: b, dst: a, seq: 900, ack: 101, flags: "SA"}, "2/120 1/60 answered"},
		{pkt{proto: "tcp", src: a, dst: b, seq: 101, ack: 901, flags: "A"}, "3/180 1/60 established"},
		{pkt{proto: "tcp", src: a, dst: b, seq: 101, ack: 901, flags: "PA", payload: "hello"}, "4/240 1/60 established"},
		{pkt{proto: "tcp", src: b, dst: a, seq: 901, ack: 106, flags: "FA"}, "4/240 2/120 half closed"},
		{pkt{proto: "tcp", src: a, dst: b, seq: 106, ack: 902, flags: "FA"}, "5/300 2/120 closed"},
		{pkt{proto: "tcp", src: b, dst: a, seq: 902, ack: 107, flags: "R"}, "5/300 3/180 reset"},
	}
	c := NewConversations(0)
	for i, s := range steps {
		c.Add(see(t, i, uplink, s.p))
		same(t, linesOf(c), []string{"1 tcp " + a + " " + b + " " + s.want})
	}
	// The same ports again: another connection.
	c.Add(see(t, 100, uplink, pkt{proto: "tcp", src: a, dst: b, seq: 7000, flags: "S"}))
	c.Add(see(t, 101, uplink, pkt{proto: "tcp", src: b, dst: a, ack: 7001, seq: 1, flags: "SA"}))
	same(t, linesOf(c)[1:], []string{"2 tcp " + a + " " + b + " 1/60 1/60 answered"})
	got := c.Snapshot(0, nil)
	if got[0].Duration() != 7*time.Microsecond || !got[0].Start().Equal(epoch) || got[0].AB.Again != 1 {
		t.Errorf("%+v", got[0])
	}
	if !got[1].Opened || got[1].StartA != 7000 || !got[1].Answered || got[1].StartB != 1 {
		t.Errorf("%+v", got[1])
	}
}

// TestConversationSides: a packet is counted once, however many points see it;
// tuples before and after NAT are linked, and so is what was in a tunnel.
func TestConversationSides(t *testing.T) {
	const a, b, c1 = "10.10.0.2:45430", "10.10.0.1:8080", "172.18.0.2:80"
	ask := pkt{proto: "udp", src: a, dst: b, payload: "ping"}
	inside := pkt{proto: "udp", src: a, dst: c1, payload: "ping"}
	c := NewConversations(0)
	c.Tell(&Rewrite{Flow: 7, Direction: Original, Protocol: "udp", Before: Seen{Src: a, Dst: b}, After: Seen{Src: a, Dst: c1}})
	for i := range 3 {
		for _, r := range []*Record{see(t, i, uplink, ask), see(t, i, veth, inside), see(t, i, container, inside)} {
			c.Add(r)
		}
	}
	c.Add(see(t, 9, container, pkt{proto: "udp", src: c1, dst: a, payload: "pong"}))
	same(t, linesOf(c), []string{
		"1 udp " + a + " " + b + " 3/180 0/0 flow 7",
		"2 udp " + a + " " + c1 + " 3/180 1/60 flow 7",
	})
	var sides []string
	for _, s := range c.Sides(2, 0) {
		sides = append(sides, fmt.Sprint(s.Point, " ", s.AB.Packets, " ", s.BA.Packets))
	}
	same(t, sides, []string{"1 3 0", "2 3 1"})
	if one := c.Snapshot(0, nil)[1]; one.Points != 2 || one.Point != 2 {
		t.Errorf("%+v", one)
	}
	for i, r := range []*Record{inVXLAN(t, 20, uplink, inside, 42), inVXLAN(t, 21, uplink, inside, 43)} {
		c.Add(r)
		c.Tell(&Rewrite{Flow: 8 + i, Direction: Original, Protocol: "udp", Before: Seen{Src: a, Dst: c1}, After: Seen{Src: a, Dst: "10.9.9.9:1"}, BeforeRecord: r})
	}
	same(t, linesOf(c)[2:], []string{
		"3 udp " + a + " " + c1 + " 1/110 0/0 vxlan 42 flow 8",
		"4 udp " + a + " " + c1 + " 1/110 0/0 vxlan 43 flow 9",
	})
}

// TestConversationKinds: what has no ports is told apart by what it has.
func TestConversationKinds(t *testing.T) {
	c := NewConversations(0)
	for i, s := range corpus(t) {
		c.Add(recordOf(s.data, uplink, i))
	}
	got := strings.Join(linesOf(c), "\n")
	for _, want := range []string{
		" arp 10.0.0.2:0 10.0.0.1:0 ", // also of another tuple
		" icmp 192.0.2.1:0 10.0.0.2:0 10/",
		" icmp6 [2001:db8::7]:0 [2001:db8::1]:0 7/",
		" icmp 10.0.1.2:6699 10.0.1.3:6699 1/",
		" icmp 10.0.1.2:6699 10.0.1.3:6699 1/110 0/0 vxlan 4097",
		" tcp 10.0.0.9:50000 10.0.0.8:81 5/",
		" ip 192.0.2.1:0 192.0.2.2:0 ",
		" udp 192.0.2.1:0 192.0.2.2:0 2/", // fragments
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	if n := c.Counts(); n.Packets != n.Addressed || n.Packets != uint64(len(corpus(t))) || n.LetGo != 0 {
		t.Errorf("%+v", n)
	}
	lldp := append(append([]byte{1, 0x80, 0xc2, 0, 0, 0xe}, mac(1)...), 0x88, 0xcc, 0, 0)
	c.Add(recordOf(lldp, uplink, 99))
	if n := c.Counts(); n.Packets != n.Addressed+1 {
		t.Errorf("%+v", n)
	}
}

// TestConversationFilters: each finds the packets of its conversation, and of
// those with ports no others.
func TestConversationFilters(t *testing.T) {
	var records []*Record
	for i, s := range append(corpus(t), sample{"tcp in vxlan", vxlan(t, 4789, 77, corpus(t)[4].data), ""}) {
		// pcap-filter(7) does not look behind these.
		if s.name != "qinq" && !strings.HasPrefix(s.name, "ipv6 ") {
			records = append(records, recordOf(s.data, uplink, i))
		}
	}
	c := converse(records...)
	for _, one := range c.Snapshot(0, nil) {
		f, err := filter.ParseDisplay(one.Filter())
		if err != nil {
			t.Errorf("%s: %s: %v", line(&one), one.Filter(), err)
			continue
		}
		for _, r := range records {
			b := r.Brief(0)
			of, ok := c.Of(&b)
			mine, passes := ok && of.Number == one.Number, f.Match(r.Subject(false, 0))
			if mine != passes && (mine || one.Streams() && of.Tunnel == one.Tunnel) {
				t.Errorf("%s of %s: %v for %s", one.Filter(), line(&one), passes, r.Summary.Info)
			}
		}
	}
}

// TestConversationRates: in the time of the packets, over the last second.
func TestConversationRates(t *testing.T) {
	c := NewConversations(0)
	b := briefly(build(t, pkt{proto: "udp", src: "10.0.0.1:1", dst: "10.0.0.2:2", payload: "abc"}), true)
	b.Length = 1000
	start := int64(1700000000) * 1e9
	for ms := range 5000 { // 1000 packets of 1000 bytes a second
		b.Time = start + int64(ms)*1e6
		c.See(b)
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if got < want*0.97 || got > want*1.03 {
			t.Errorf("%s: %.0f, not %.0f", what, got, want)
		}
	}
	one := c.Snapshot(0, nil)[0]
	near("packets", one.AB.PacketRate, 1000)
	near("bytes", one.AB.ByteRate, 1e6)
	if one.BA.ByteRate != 0 || one.Rate() != one.AB.ByteRate {
		t.Errorf("the other way: %+v", one.BA)
	}
	half := c.Snapshot(b.Time+500e6, nil)[0]
	near("bytes half a second after the last", half.AB.ByteRate, 1e6*(float64(int64(1<<30))-500e6)/float64(int64(1<<30)))
	if late := c.Snapshot(b.Time+3e9, nil)[0]; late.Rate() != 0 {
		t.Errorf("3 s after the last packet there are still %.0f bytes/s", late.Rate())
	}
	young := NewConversations(0)
	b.Time = start
	young.See(b)
	near("one packet that came just now", young.Snapshot(0, nil)[0].AB.PacketRate, 1/0.537)
}

// TestConversationsAreBounded: the one that was not used for longest goes, and
// counts agree with a plain map whatever comes.
func TestConversationsAreBounded(t *testing.T) {
	const limit = 50
	c := NewConversations(limit)
	random := rand.New(rand.NewPCG(1, 2))
	b := *briefly(build(t, pkt{proto: "udp", src: "10.0.0.1:1", dst: "10.0.0.2:2"}), true)
	busy := b
	busy.Outer.Key.SrcPort = 9999
	for i := range 20000 {
		b.Time, busy.Time = int64(i), int64(i)
		b.Outer.Key.SrcPort, b.Point = uint16(random.IntN(500)), uint16(random.IntN(5))
		c.See(&b)
		c.See(&busy)
		if c.Len() > limit || len(c.byKey) > limit || len(c.convs) > limit || len(c.sides) > sidesPerConversation*limit {
			t.Fatalf("%d conversations, %d keys, %d and %d of memory", c.Len(), len(c.byKey), len(c.convs), len(c.sides))
		}
	}
	all := c.Snapshot(0, nil)
	if len(all) != c.Len() || len(all) < limit/2 {
		t.Errorf("%d conversations, Len is %d", len(all), c.Len())
	}
	if i := slices.IndexFunc(all, func(c Conversation) bool { return c.Key.SrcPort == 9999 }); i < 0 || all[i].AB.Packets != 20000 {
		t.Errorf("the one that was always used was let go: %d", i)
	}
	if n := c.Counts(); n.Packets != 40000 || n.Addressed != 40000 || int(n.LetGo) != c.opened-c.Len() {
		t.Errorf("%+v, %d opened", n, c.opened)
	}
}

// TestConversationsDoNotAllocate: not for those that are known.
func TestConversationsDoNotAllocate(t *testing.T) {
	c := NewConversations(0)
	all := manyBriefs(t, 1000)
	feed := func() {
		for i := range all {
			c.See(&all[i])
		}
	}
	feed()
	if n := testing.AllocsPerRun(10, feed); n != 0 {
		t.Errorf("%.0f allocations for %d packets", n, len(all))
	}
	if size := unsafe.Sizeof(Conversation{}); size > 320 {
		t.Errorf("a Conversation takes %d bytes", size)
	}
}

// manyBriefs are packets of so many TCP conversations, both ways.
func manyBriefs(t testing.TB, n int) (out []Brief) {
	p := pkt{proto: "tcp", src: "10.0.0.1:1", dst: "10.0.0.2:80", seq: 1, flags: "PA", payload: "abc"}
	there := *briefly(build(t, p), true)
	p.src, p.dst = p.dst, p.src
	back := *briefly(build(t, p), true)
	for i := range n {
		there.Outer.Key.SrcPort, back.Outer.Key.DstPort = uint16(i), uint16(i)
		out = append(out, there, back)
	}
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// talks reads what tshark says of the conversations over a protocol: packets and
// bytes each way by tuple and connection, "a b" with the lesser first.
func talks(t *testing.T, path, protocol, filter string) (out []string) {
	t.Helper()
	sandboxtest.Tool(t, "tshark")
	fields, err := exec.Command("tshark", "-r", path, "-o", "ip.defragment:FALSE", "-Y", protocol+filter, "-T", "fields", "-E", "occurrence=l",
		"-e", "ip.src", "-e", "ipv6.src", "-e", protocol+".srcport", "-e", "ip.dst", "-e", "ipv6.dst", "-e", protocol+".dstport",
		"-e", protocol+".stream", "-e", "frame.len").Output()
	if err != nil {
		t.Fatal(err)
	}
	type count struct{ packets, bytes [2]int }
	all := map[string]*count{}
	for _, l := range strings.Split(strings.TrimSuffix(string(fields), "\n"), "\n") {
		f := strings.Split(l, "\t")
		a, b, dir := f[0]+f[1]+" "+f[2], f[3]+f[4]+" "+f[5], 0
		if a > b {
			a, b, dir = b, a, 1
		}
		key := a + " " + b
		if protocol == "tcp" {
			key += " " + f[6]
		}
		if all[key] == nil {
			all[key] = &count{}
		}
		n, _ := strconv.Atoi(f[7])
		all[key].packets[dir]++
		all[key].bytes[dir] += n
	}
	for k, c := range all {
		if protocol == "tcp" {
			k = k[:strings.LastIndexByte(k, ' ')]
		}
		out = append(out, fmt.Sprintf("%s %d/%d %d/%d", k, c.packets[0], c.bytes[0], c.packets[1], c.bytes[1]))
	}
	slices.Sort(out)
	return out
}

// ours is what talks tells, of our own conversations.
func ours(all []Conversation, protocol string) (out []string) {
	for _, c := range all {
		src, dst := c.Key.Addrs()
		if c.Name() != protocol || src.Port() == 0 && dst.Port() == 0 {
			continue
		}
		a, b := fmt.Sprint(src.Addr(), " ", src.Port()), fmt.Sprint(dst.Addr(), " ", dst.Port())
		if a > b {
			a, b, c.AB, c.BA = b, a, c.BA, c.AB
		}
		out = append(out, fmt.Sprintf("%s %s %d/%d %d/%d", a, b, c.AB.Packets, c.AB.Bytes, c.BA.Packets, c.BA.Bytes))
	}
	slices.Sort(out)
	return out
}

// TestConversationsAreTsharks: packets and bytes each way are those that tshark
// counts, of all that is not in tunnels, quoted or in parts.
func TestConversationsAreTsharks(t *testing.T) {
	path := t.TempDir() + "/corpus.pcapng"
	all := converse(writeCorpus(t, path, corpus(t))...).Snapshot(0, nil)
	all = slices.DeleteFunc(all, func(c Conversation) bool { return c.Tunnel != NoTunnel })
	const plain = " && !icmp && !icmpv6 && !ip.flags.mf == 1 && !(udp.dstport in {4789, 8472, 6081})"
	for _, protocol := range []string{"tcp", "udp"} {
		same(t, ours(all, protocol), talks(t, path, protocol, plain))
	}
}

// BenchmarkConversations: what a packet costs, of 1 conversation and of 5,000,
// beside a plain map of counters by tuple and gopacket's hash of both flows.
func BenchmarkConversations(b *testing.B) {
	for _, n := range []int{1, 5000} {
		all := manyBriefs(b, n)
		for i := range all {
			all[i].Time = int64(i) * 1000
		}
		each := func(name string, see func(*Brief)) {
			b.Run(fmt.Sprintf("%d/%s", n, name), func(b *testing.B) {
				i := 0
				for b.Loop() {
					see(&all[i])
					if i++; i == len(all) {
						i = 0
					}
				}
			})
		}
		c := NewConversations(0)
		each("ours", c.See)
		type counts struct{ packets, bytes uint64 }
		plain := map[Key]*counts{}
		each("map", func(b *Brief) {
			k := b.Innermost().Key
			if slices.Compare(k.Src[:], k.Dst[:]) > 0 {
				k = k.mirror()
			}
			p := plain[k]
			if p == nil {
				p = &counts{}
				plain[k] = p
			}
			p.packets++
			p.bytes += uint64(b.Length)
		})
		type pair struct{ network, transport gopacket.Flow }
		flows := map[uint64]*counts{}
		each("gopacket", func(b *Brief) {
			k := &b.Innermost().Key
			var ports [4]byte
			binary.BigEndian.PutUint16(ports[:], k.SrcPort)
			binary.BigEndian.PutUint16(ports[2:], k.DstPort)
			p := pair{gopacket.NewFlow(layers.EndpointIPv4, k.Src[:4], k.Dst[:4]), gopacket.NewFlow(layers.EndpointTCPPort, ports[:2], ports[2:])}
			h := p.network.FastHash() ^ p.transport.FastHash()*31
			f := flows[h]
			if f == nil {
				f = &counts{}
				flows[h] = f
			}
			f.packets++
			f.bytes += uint64(b.Length)
		})
	}
}
