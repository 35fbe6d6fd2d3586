package filter

// etherTypes are the names that "ether proto" takes, and the words that stand
// for an Ethernet type. Those below 0x600 are service access points of LLC.
var etherTypes = map[string]uint32{
	"ip": etherIP, "ip6": etherIP6, "arp": etherARP, "rarp": etherRARP,
	"decnet": 0x6003, "lat": 0x6004, "loopback": 0x9000, "moprc": 0x6002, "mopdl": 0x6001, "sca": 0x6007,
	"stp": 0x42, "iso": 0xfe, "netbeui": 0xf0,
}

const (
	etherIP   = 0x0800
	etherARP  = 0x0806
	etherRARP = 0x8035
	etherIP6  = 0x86dd
	etherMPLS = 0x8847

	protoTCP    = 6
	protoUDP    = 17
	protoICMP6  = 58
	protoSCTP   = 132
	protoFrag6  = 44 // the IPv6 fragment header
	protoIPinIP = 4
	protoIP6in  = 41
	protoGRE    = 47
)

// ipProtocols are the names of /etc/protocols that "ip proto" takes, and the
// words that stand for an IP protocol.
var ipProtocols = map[string]uint32{
	"icmp": 1, "igmp": 2, "ggp": 3, "ipencap": 4, "tcp": 6, "egp": 8, "igp": 9, "igrp": 9, "udp": 17, "rdp": 27, "dccp": 33,
	"ipv6": 41, "ipv6-route": 43, "ipv6-frag": 44, "rsvp": 46, "gre": 47, "esp": 50, "ah": 51, "ipv6-icmp": 58,
	"icmp6": 58, "ipv6-nonxt": 59, "ipv6-opts": 60, "eigrp": 88, "ospf": 89, "ipip": 94, "pim": 103, "ipcomp": 108,
	"vrrp": 112, "carp": 112, "l2tp": 115, "sctp": 132, "udplite": 136,
}

// protoFamily says in which IP version a word for a protocol is looked for.
var protoFamily = map[string]string{
	"tcp": "both", "udp": "both", "sctp": "both", "pim": "both", "ah": "both", "esp": "both",
	"icmp": "ip", "igmp": "ip", "igrp": "ip", "vrrp": "ip", "carp": "ip", "icmp6": "ip6",
}

// protoWords are the words that qualify what follows or stand alone.
var protoWords = words(`ether link ip ip6 arp rarp tcp udp sctp icmp icmp6 igmp igrp pim vrrp carp ah esp
	decnet lat sca moprc mopdl stp iso netbeui`)

// refused are words of pcap-filter(7) that are not compiled, and why.
var refused = func() map[string]string {
	m := map[string]string{
		"gateway":    "needs names of hosts, which are not resolved; give the MAC with ether host, and not host",
		"protochain": "the kernel takes no program with loops; use proto",
		"geneve":     "use udp port 6081",
		"byte":       "use ether[N]",
		"ppp":        "only links with Ethernet or IP headers are known; use ether",
		"atalk":      "use ether proto 0x809b", "aarp": "use ether proto 0x80f3", "ipx": "use ether proto 0x8137",
	}
	for w := range words(`slip fddi tr wlan radio esis es-is isis is-is l1 l2 iih lsp snp csnp psnp clnp
		type subtype direction dir address1 addr1 address2 addr2 address3 addr3 address4 addr4 ra ta ifindex
		lane llc metac bcc oam oamf4 oamf4ec oamf4sc sc ilmic vpi vci connectmsg metaconnect
		on ifname rset ruleset rnr rulenum srnr subrulenum reason action
		fisu lssu lsu msu hfisu hlssu hmsu sio opc dpc sls hsio hopc hdpc hsls`) {
		m[w] = "not for links with Ethernet or IP headers"
	}
	return m
}()

// keywords are words that are never names, unless behind a backslash.
var keywords = func() map[string]bool {
	m := words(`dst src host net mask port portrange proto less greater broadcast multicast and or not len length
		inbound outbound vlan mpls pppoed pppoes vxlan`)
	for w := range protoWords {
		m[w] = true
	}
	for w := range refused {
		m[w] = true
	}
	return m
}()

// displayWords are the words that only display filters have.
var displayWords = words("vni point ns rewritten flow")

// constants stand for numbers: offsets of fields and their values.
var constants = map[string]uint32{
	"tcpflags": 13, "tcp-fin": 1, "tcp-syn": 2, "tcp-rst": 4, "tcp-push": 8, "tcp-ack": 16, "tcp-urg": 32, "tcp-ece": 64, "tcp-cwr": 128,
	"icmptype": 0, "icmpcode": 1,
	"icmp-echoreply": 0, "icmp-unreach": 3, "icmp-sourcequench": 4, "icmp-redirect": 5, "icmp-echo": 8, "icmp-routeradvert": 9,
	"icmp-routersolicit": 10, "icmp-timxceed": 11, "icmp-paramprob": 12, "icmp-tstamp": 13, "icmp-tstampreply": 14,
	"icmp-ireq": 15, "icmp-ireqreply": 16, "icmp-maskreq": 17, "icmp-maskreply": 18,
	"icmp6type": 0, "icmp6code": 1,
	"icmp6-destinationunreach": 1, "icmp6-packettoobig": 2, "icmp6-timeexceeded": 3, "icmp6-parameterproblem": 4,
	"icmp6-echo": 128, "icmp6-echoreply": 129, "icmp6-multicastlistenerquery": 130, "icmp6-multicastlistenerreportv1": 131,
	"icmp6-multicastlistenerdone": 132, "icmp6-routersolicit": 133, "icmp6-routeradvert": 134, "icmp6-neighborsolicit": 135,
	"icmp6-neighboradvert": 136, "icmp6-redirect": 137, "icmp6-routerrenum": 138, "icmp6-nodeinformationquery": 139,
	"icmp6-nodeinformationresponse": 140, "icmp6-ineighbordiscoverysolicit": 141, "icmp6-ineighbordiscoveryadvert": 142,
	"icmp6-multicastlistenerreportv2": 143, "icmp6-homeagentdiscoveryrequest": 144, "icmp6-homeagentdiscoveryreply": 145,
	"icmp6-mobileprefixsolicit": 146, "icmp6-mobileprefixadvert": 147, "icmp6-certpathsolicit": 148, "icmp6-certpathadvert": 149,
	"icmp6-multicastrouteradvert": 151, "icmp6-multicastroutersolicit": 152, "icmp6-multicastrouterterm": 153,
}
