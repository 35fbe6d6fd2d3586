package capture

import "net/netip"

// keyOf is the key that says what t says.
func keyOf(t Tuple) (k Key) {
	switch t.Protocol {
	case "tcp":
		k.Protocol = protoTCP
	case "udp":
		k.Protocol = protoUDP
	case "icmp":
		k.Protocol = protoICMP
	case "icmp6":
		k.Protocol = protoICMPv6
	}
	src, dst := t.Src.Addr(), t.Dst.Addr()
	switch {
	case src.Is4() && dst.Is4():
		a, b := src.As4(), dst.As4()
		copy(k.Src[:], a[:])
		copy(k.Dst[:], b[:])
		k.Version = 4
	case src.IsValid() && dst.IsValid():
		k.Src, k.Dst, k.Version = src.As16(), dst.As16(), 6
	default:
		return Key{}
	}
	k.SrcPort, k.DstPort = t.Src.Port(), t.Dst.Port()
	return k
}

// endpoint is one end of a flow, as text; without a port for ICMP.
func (k Key) endpoint(a netip.AddrPort) string { return string(k.appendEndpoint(nil, a)) }

func (k Key) appendEndpoint(b []byte, a netip.AddrPort) []byte {
	switch {
	case !a.IsValid():
		return b
	case k.Protocol != protoTCP && k.Protocol != protoUDP:
		return a.Addr().AppendTo(b)
	}
	return a.AppendTo(b)
}

// appendMAC appends a hardware address as text.
func appendMAC(b []byte, m [6]byte) []byte {
	const digits = "0123456789abcdef"
	for i, v := range m {
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, digits[v>>4], digits[v&15])
	}
	return b
}

var flagWords = [8]string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"}

// flagNames lists the flags of a TCP header, "SYN ACK".
func flagNames(flags uint8) string {
	s := ""
	for i, name := range flagWords {
		if flags&(1<<i) == 0 {
			continue
		}
		if s != "" {
			s += " "
		}
		s += name
	}
	return s
}
