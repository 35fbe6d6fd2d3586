package capture

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Ends are A and B as text: with ports for TCP and UDP, where there are any.
func (c *Conversation) Ends() (a, b string) {
	src, dst := c.Key.Addrs()
	if c.Streams() {
		return src.String(), dst.String()
	}
	return src.Addr().String(), dst.Addr().String()
}

// TunnelText is what carries the conversation, "vxlan 42", "" for nothing.
func (c *Conversation) TunnelText() string {
	if c.Tunnel == VXLAN || c.Tunnel == Geneve {
		return fmt.Sprintf("%s %d", TunnelName(c.Tunnel), c.VNI)
	}
	return TunnelName(c.Tunnel)
}

// Filter is a display filter, as package filter parses it, for the packets of
// the conversation at all points, outside of tunnels and inside, or only in the
// network that carries it. It has the limits of pcap-filter(7), which looks
// neither behind a second VLAN tag nor behind the extension headers of IPv6.
func (c *Conversation) Filter() string {
	src, dst := c.Key.Addrs()
	parts := []string{c.Name()}
	if parts[0] == "ip" {
		parts[0] = fmt.Sprintf("proto %d", c.Protocol)
	}
	parts = append(parts, "host "+src.Addr().String(), "host "+dst.Addr().String())
	switch {
	case c.Streams():
		parts = append(parts, fmt.Sprintf("port %d", src.Port()), fmt.Sprintf("port %d", dst.Port()))
	case c.Key.SrcPort != 0 && c.Protocol == protoICMP:
		parts = append(parts, fmt.Sprintf("icmp[4:2] = %d", c.Key.SrcPort))
	case c.Key.SrcPort != 0 && c.Protocol == protoICMPv6:
		parts = append(parts, fmt.Sprintf("icmp6[4:2] = %d", c.Key.SrcPort))
	}
	if c.Tunnel == VXLAN {
		parts = append(parts, fmt.Sprintf("vni %d", c.VNI))
	}
	return strings.Join(parts, " and ")
}

// Printable is what can be shown of bytes of a stream: a dot stands for what is
// no text, or could steer a terminal or hide what it says. Tabs become spaces.
func Printable(b []byte) string {
	var out strings.Builder
	out.Grow(len(b))
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == '\t':
			out.WriteByte(' ')
		case r == utf8.RuneError && n <= 1, !unicode.IsPrint(r):
			out.WriteByte('.')
		default:
			out.WriteRune(r)
		}
		b = b[n:]
	}
	return out.String()
}
