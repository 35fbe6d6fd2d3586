package capture

import (
	"net/netip"
	"time"
)

// Record is one packet as it was seen at one point. It is immutable.
type Record struct {
	Serial   uint64 // grows with time over all points of a session
	Point    Point
	Time     time.Time // the kernel's timestamp
	Outgoing bool      // the host sent it out of the link; otherwise it came in
	Length   int       // on the wire, in bytes
	Data     []byte    // what was kept of it, from the link layer header on
	Offload  bool      // the transport checksum was left to hardware and is not ready
	Summary  Summary
	Comment  string // what the writer of the file said of it; control characters removed

	unframed bool       // Data begins with the IP header: the link has no header of its own
	link     linkHeader // that Data begins with, when it is not unframed
	payload  []byte     // the part of Data behind the transport header
	header   int        // length of TCP's or UDP's header; 0 of others
	quoted   Tuple      // of the packet that an ICMP error quotes; zero otherwise
	inner    *Record    // the packet that a tunnel carries; nil when there is none
}

// Inner is the packet within the packet: what VXLAN, GENEVE, GRE or IP carries.
// It is a record of its own, at the same point and time, whose Data is a part of
// r's; nil when r carries none. Its own Inner may carry one more.
func (r *Record) Inner() *Record {
	if r.inner == nil {
		return nil
	}
	in := *r.inner
	in.Serial = r.Serial // given after decoding
	return &in
}

// Summary is what a packet is compared and matched by.
type Summary struct {
	Protocol   string // "tcp", "udp", "icmp", "icmp6", "arp", "ip" …; "?" when not decodable
	SrcMAC     string
	DstMAC     string
	Src, Dst   netip.AddrPort // port 0 where the protocol has none
	TTL        uint8          // or hop limit
	IPID       uint16
	IPChecksum uint16 // 0 for IPv6
	Checksum   uint16 // of the transport header
	ICMPID     uint16
	ICMPSeq    uint16
	ICMPType   uint8
	ICMPCode   uint8
	TCPFlags   string // "SYN ACK", "PSH ACK"
	TCPSeq     uint32
	TCPAck     uint32
	Payload    int    // bytes behind the transport header
	VLAN       uint16 // of the outermost 802.1Q tag, 0 without one
	App        string // what the payload is: "http", "dns", "mdns", "dhcp", "tls"; "" when it is none of these
	Tunnel     string // what carries the inner packet: "vxlan", "geneve", "gre", "ipip"; "" when there is none
	VNI        uint32 // the network's number in VXLAN and GENEVE
	Info       string // one line for people, in the style of Wireshark's info column; control characters removed
	Malformed  string // why it could not be decoded to the end, "" if it could
}

// Layer is one header of a packet for the detail pane.
type Layer struct {
	Name   string // "Ethernet", "IPv4", "TCP"
	Fields []Field
	// Offset and Length say which bytes of the record's Data it is.
	Offset, Length int
}

// Field is one field of a header, in the order in which it stands there.
type Field struct {
	Name  string // "src", "ttl", "checksum"
	Value string // control characters removed
	// Offset and Length say which bytes of the record's Data hold the field;
	// Length is 0 where no whole bytes do.
	Offset, Length int
}

// The two directions of a flow, as conntrack calls them.
const (
	Original = "original" // from the one who opened the flow
	Reply    = "reply"
)

// Rewrite is one packet seen at two points, with what was changed between.
// Its JSON form is part of the command line's interface.
type Rewrite struct {
	Time      time.Time `json:"time"` // when it was seen first
	Flow      int       `json:"flow"` // numbers the flows of a session from 1
	Direction string    `json:"direction"`
	Protocol  string    `json:"protocol"`
	Before    Seen      `json:"before"`
	After     Seen      `json:"after"`
	Changed   []string  `json:"changed"` // names of Seen's JSON fields that differ
	// Elapsed is the time between the two points, in nanoseconds.
	Elapsed time.Duration `json:"elapsed_ns"`
	Rule    *RuleRef      `json:"rule"` // nil when no rule could be named
	Info    string        `json:"info"`

	// The packets; nil when only summaries were seen, until Load.
	BeforeRecord *Record `json:"-"`
	AfterRecord  *Record `json:"-"`

	before, after uint64 // their serials
}

// Seen is one side of a Rewrite.
type Seen struct {
	Point      string `json:"point"`
	Src        string `json:"src"` // "10.10.0.2:45430"; without port for ICMP
	Dst        string `json:"dst"`
	TTL        int    `json:"ttl"`
	ID         int    `json:"id,omitempty"` // ICMP identifier
	SrcMAC     string `json:"src_mac"`
	DstMAC     string `json:"dst_mac"`
	IPChecksum string `json:"ip_checksum,omitempty"` // "0x1a2b"
	// Checksum is the transport's, "0x1a2b"; Offload says that it is not ready.
	Checksum string `json:"checksum"`
	Offload  bool   `json:"offload,omitempty"`
	Length   int    `json:"length"`
}

// RuleRef names the rule that rewrote a flow.
type RuleRef struct {
	NS     string `json:"ns"`
	Engine string `json:"engine"`
	Family string `json:"family"`
	Table  string `json:"table"`
	Chain  string `json:"chain"`
	Handle uint64 `json:"handle"`
	Text   string `json:"text"`
}

// Translation is one conntrack entry whose two tuples are not each other's
// mirror image: a flow that NAT rewrote. The caller learns it from conntrack
// and hands it to the Matcher.
type Translation struct {
	NS       string // the namespace whose conntrack holds it
	ID       uint32 // CTA_ID
	Original Tuple
	Reply    Tuple
	// DNAT and SNAT are the rules that rewrote the destination and the source;
	// nil where there is none or none could be named.
	DNAT, SNAT *RuleRef
	// Time is when conntrack told of it, by the clock of the packets: the flow
	// began before. It keeps a flow that has got the addresses and ports of one
	// that ended from taking the packets of that one, when these are looked at
	// late. Zero stands for before all packets that are not yet seen.
	Time time.Time
}

// Tuple is one direction of a flow. For ICMP both ports are the identifier.
type Tuple struct {
	Protocol string // "tcp", "udp", "icmp", "icmp6"
	Src, Dst netip.AddrPort
}

// Mirror is the tuple of a packet that goes the other way.
func (t Tuple) Mirror() Tuple { return Tuple{t.Protocol, t.Dst, t.Src} }

// Stopped is the Stats.Ended of a point that was asked to end.
const Stopped = "stopped"

// Stats are the counts of one point since it was opened. Nothing is dropped
// without being counted here.
type Stats struct {
	Point   Point  `json:"point"`
	Packets uint64 `json:"packets"`         // handed to us
	Bytes   uint64 `json:"bytes"`           // on the wire
	Dropped uint64 `json:"dropped"`         // by the kernel, the ring being full
	Overrun uint64 `json:"overrun"`         // dropped by us, the store being full of packets that are not in order yet
	Skipped uint64 `json:"skipped"`         // kept, but not handed out by Records, its reader being slow
	Ended   string `json:"ended,omitempty"` // why the point has ended, "" while it lives
}
