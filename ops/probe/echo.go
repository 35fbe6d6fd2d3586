package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
)

// IP protocol numbers, as icmp.ParseMessage wants them.
const (
	protoICMP   = 1
	protoICMPv6 = 58
)

// echoSocket sends echo requests to one destination.
type echoSocket struct {
	conn net.PacketConn
	v4   *ipv4.PacketConn // one of the two
	v6   *ipv6.PacketConn
	to   net.Addr
	// datagram: an ICMP socket of the unprivileged sort (icmp(7)): the kernel
	// picks the identifier, and delivers only replies to it.
	datagram bool
}

// answer is what came back.
type answer struct {
	seq, ttl, size int
	from           netip.Addr
	at             time.Time
	problem        string
}

// openEcho makes a raw socket, which hears of ICMP errors, or else a datagram
// socket.
func openEcho(nsPath string, dst netip.Addr, ttl int) (*echoSocket, error) {
	s := &echoSocket{}
	err := netns.Do(nsPath, func() error {
		zone, err := zoneIndex(dst.Zone())
		if err != nil {
			return err
		}
		to := net.IPAddr{IP: dst.AsSlice(), Zone: zone}
		s.to = &to
		network := "ip4:icmp"
		if dst.Is6() {
			network = "ip6:ipv6-icmp"
		}
		s.conn, err = net.ListenPacket(network, "")
		if errors.Is(err, unix.EPERM) {
			s.datagram, s.to = true, &net.UDPAddr{IP: to.IP, Zone: to.Zone}
			s.conn, err = listenDatagram(dst.Is6())
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := s.configure(dst.Is6(), ttl); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// zoneIndex is the link's index as a zone: the net package remembers the names of
// links without regard to namespaces.
func zoneIndex(zone string) (string, error) {
	if zone == "" {
		return "", nil
	}
	link, err := net.InterfaceByName(zone)
	if err != nil {
		return "", fmt.Errorf("link %q: %w", zone, err)
	}
	return strconv.Itoa(link.Index), nil
}

func listenDatagram(v6 bool) (net.PacketConn, error) {
	family, proto, level, option := unix.AF_INET, protoICMP, unix.SOL_IP, unix.IP_RECVERR
	if v6 {
		family, proto, level, option = unix.AF_INET6, protoICMPv6, unix.SOL_IPV6, unix.IPV6_RECVERR
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, proto)
	if err != nil {
		return nil, fmt.Errorf("ICMP socket: %w (it needs CAP_NET_RAW, or a group in net.ipv4.ping_group_range)", err)
	}
	file := os.NewFile(uintptr(fd), "icmp")
	defer file.Close()
	// ICMP errors come as errors of the next read or write.
	if err := unix.SetsockoptInt(fd, level, option, 1); err != nil {
		return nil, os.NewSyscallError("setsockopt", err)
	}
	return net.FilePacketConn(file)
}

func (s *echoSocket) configure(v6 bool, ttl int) error {
	if v6 {
		s.v6 = ipv6.NewPacketConn(s.conn)
		if ttl != 0 {
			if err := s.v6.SetHopLimit(ttl); err != nil {
				return err
			}
		}
		return s.v6.SetControlMessage(ipv6.FlagHopLimit, true)
	}
	s.v4 = ipv4.NewPacketConn(s.conn)
	if ttl != 0 {
		if err := s.v4.SetTTL(ttl); err != nil {
			return err
		}
	}
	return s.v4.SetControlMessage(ipv4.FlagTTL, true)
}

func (s *echoSocket) close() { s.conn.Close() }

func (s *echoSocket) send(id uint16, seq, size int) error {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i)
	}
	m := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: int(id), Seq: seq, Data: data}}
	if s.v6 != nil {
		m.Type = ipv6.ICMPTypeEchoRequest // the kernel fills in the checksum
	}
	b, err := m.Marshal(nil)
	if err != nil {
		return err
	}
	_, err = s.conn.WriteTo(b, s.to)
	return err
}

// read passes on answers until the socket is closed.
func (s *echoSocket) read(id uint16, answers chan<- answer, stop <-chan struct{}) {
	buf := make([]byte, 1<<16)
	for {
		n, ttl, from, err := s.readFrom(buf)
		a := answer{ttl: ttl, size: n, from: from, at: time.Now()}
		ok := true
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			a.problem = words(err)
		default:
			ok = s.parse(buf[:n], id, &a)
		}
		if !ok {
			continue
		}
		select {
		case answers <- a:
		case <-stop:
			return
		}
	}
}

func (s *echoSocket) readFrom(buf []byte) (n, ttl int, from netip.Addr, err error) {
	var src net.Addr
	if s.v6 != nil {
		var cm *ipv6.ControlMessage
		if n, cm, src, err = s.v6.ReadFrom(buf); cm != nil {
			ttl = cm.HopLimit
		}
	} else {
		var cm *ipv4.ControlMessage
		if n, cm, src, err = s.v4.ReadFrom(buf); cm != nil {
			ttl = cm.TTL
		}
	}
	switch a := src.(type) {
	case *net.IPAddr:
		from, _ = netip.AddrFromSlice(a.IP)
	case *net.UDPAddr:
		from, _ = netip.AddrFromSlice(a.IP)
	}
	return n, ttl, from.Unmap(), err
}

// parse completes a from a message, or says that it is not for us: a raw socket
// hears all ICMP of its namespace.
func (s *echoSocket) parse(b []byte, id uint16, a *answer) bool {
	proto := protoICMP
	if s.v6 != nil {
		proto = protoICMPv6
	}
	m, err := icmp.ParseMessage(proto, b)
	if err != nil {
		return false
	}
	if echo, ok := m.Body.(*icmp.Echo); ok {
		reply := m.Type == ipv4.ICMPTypeEchoReply || m.Type == ipv6.ICMPTypeEchoReply
		a.seq = echo.Seq
		return reply && (s.datagram || echo.ID == int(id))
	}
	var about []byte
	switch body := m.Body.(type) {
	case *icmp.DstUnreach:
		about = body.Data
	case *icmp.TimeExceeded:
		about = body.Data
	case *icmp.PacketTooBig:
		about = body.Data
	default:
		return false
	}
	a.problem = problemOf(m)
	var ok bool
	a.seq, ok = quotedSeq(about, proto, id)
	return ok
}

// quotedSeq is the sequence number of the echo request that an ICMP error
// quotes, if it is one with our identifier.
func quotedSeq(b []byte, proto int, id uint16) (int, bool) {
	if len(b) == 0 {
		return 0, false
	}
	header, next, request := 40, 6, byte(128) // RFC 8200; RFC 4443
	if proto == protoICMP {
		header, next, request = int(b[0]&0x0f)*4, 9, 8 // RFC 791; RFC 792
	}
	if len(b) < header+8 || header < 20 || int(b[next]) != proto || b[header] != request {
		return 0, false
	}
	echo := b[header:]
	return int(binary.BigEndian.Uint16(echo[6:])), binary.BigEndian.Uint16(echo[4:]) == id
}

// problemOf is the text of an ICMP error, after RFC 792, 1122, 1812 and 4443.
func problemOf(m *icmp.Message) string {
	unreachable := map[int]string{
		0: "network unreachable", 1: "host unreachable", 2: "protocol unreachable", 3: "port unreachable",
		4: "fragmentation needed", 5: "source route failed", 6: "network unknown", 7: "host unknown",
		9: "network prohibited", 10: "host prohibited", 13: "administratively prohibited",
	}
	if m.Type == ipv6.ICMPTypeDestinationUnreachable {
		unreachable = map[int]string{
			0: "no route", 1: "administratively prohibited", 2: "beyond scope", 3: "address unreachable",
			4: "port unreachable", 5: "source address refused", 6: "route rejected",
		}
	}
	switch m.Type {
	case ipv4.ICMPTypeDestinationUnreachable, ipv6.ICMPTypeDestinationUnreachable:
		if text, ok := unreachable[m.Code]; ok {
			return text
		}
		return fmt.Sprintf("unreachable (code %d)", m.Code)
	case ipv4.ICMPTypeTimeExceeded, ipv6.ICMPTypeTimeExceeded:
		return "time to live exceeded"
	case ipv6.ICMPTypePacketTooBig:
		return "packet too big"
	}
	return fmt.Sprintf("%v (code %d)", m.Type, m.Code)
}
