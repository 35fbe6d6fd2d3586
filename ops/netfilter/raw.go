package netfilter

import "strconv"

// The families of nf_tables (NFPROTO_*, linux/netfilter.h).
const (
	familyInet   = 1
	familyIP     = 2
	familyARP    = 3
	familyNetdev = 5
	familyBridge = 7
	familyIP6    = 10
)

var familyNames = map[uint8]string{
	familyInet: "inet", familyIP: "ip", familyARP: "arp",
	familyNetdev: "netdev", familyBridge: "bridge", familyIP6: "ip6",
}

func familyName(f uint8) string {
	if n, ok := familyNames[f]; ok {
		return n
	}
	return strconv.Itoa(int(f))
}

// familyNumber is the family called name, 0 for all when there is no such.
func familyNumber(name string) uint8 {
	for f, n := range familyNames {
		if n == name {
			return f
		}
	}
	return 0
}

// inetHooks are the hooks of ip, ip6, inet and bridge, by number (NF_INET_*).
var inetHooks = []string{"prerouting", "input", "forward", "output", "postrouting", "ingress"}

func hookName(family uint8, hook uint32) string {
	names := inetHooks
	switch family {
	case familyNetdev:
		names = []string{"ingress", "egress"}
	case familyARP:
		names = []string{"input", "output", "forward"}
	}
	if int(hook) < len(names) {
		return names[hook]
	}
	return strconv.Itoa(int(hook))
}

// table, chain, set and rule are the ruleset in decoded attributes: what the
// evaluator runs on and what the texts are made from. Names are as the kernel
// has them, uncleaned, because they are looked up.
type table struct {
	family  uint8
	name    string
	dormant bool
	chains  map[string]*chain
	sets    map[string]*set
	links   map[uint32]string // index to name; only filled where a rule needs it
}

type chain struct {
	table  *table
	name   string
	handle uint64
	base   bool
	hook   string
	prio   int32
	typ    string
	drop   bool // policy
	count  *Counter
	rules  []*rule
	// setsMark says that a rule of it, or of a chain that it jumps to, may
	// change a mark that NAT rules can ask for.
	setsMark bool
}

type rule struct {
	chain   *chain
	handle  uint64
	exprs   []expr
	comment string
	index   int  // in Ruleset.Rules
	matters bool // see canMatter
}

// expr is one expression of a rule.
type expr struct {
	name  string
	attrs attrs
	raw   []byte // of NFTA_EXPR_DATA
}

// The flags of a set that matter here (NFT_SET_*, linux/netfilter/nf_tables.h).
const (
	setAnonymous = 0x1
	setInterval  = 0x4
	setTimeout   = 0x10
	setDynamic   = 0x20
	setConcat    = 0x80
)

type set struct {
	name              string
	flags             uint32
	keyType, keyLen   uint32
	dataType, dataLen uint32
	elems             []element
}

// elemIntervalEnd marks the element that closes an interval
// (NFT_SET_ELEM_INTERVAL_END); elemCatchall is "*".
const (
	elemIntervalEnd = 0x1
	elemCatchall    = 0x2
)

type element struct {
	key, keyEnd, data []byte
	verdict           *verdict
	flags             uint32
}

// verdict is where a rule sends a packet.
type verdict struct {
	code  int32
	chain string // of a jump or goto
}

// The codes of a verdict (NFT_* and NF_*).
const (
	verdictDrop     = 0
	verdictAccept   = 1
	verdictStolen   = 2
	verdictQueue    = 3
	verdictContinue = -1
	verdictBreak    = -2
	verdictJump     = -3
	verdictGoto     = -4
	verdictReturn   = -5
)

func parseVerdict(b []byte) *verdict {
	a := parseAttrs(b)
	return &verdict{code: int32(a.u32(1)), chain: a.str(2)}
}

// String is the verdict as nft(8) writes it.
func (v *verdict) String() string {
	switch v.code {
	case verdictDrop:
		return "drop"
	case verdictAccept:
		return "accept"
	case verdictStolen:
		return "stolen"
	case verdictQueue:
		return "queue"
	case verdictContinue:
		return "continue"
	case verdictBreak:
		return "break"
	case verdictJump:
		return "jump " + v.chain
	case verdictGoto:
		return "goto " + v.chain
	case verdictReturn:
		return "return"
	}
	return "<verdict " + strconv.Itoa(int(v.code)) + ">"
}

func parseExprs(b []byte) []expr {
	var out []expr
	eachAttr(b, func(_ uint16, data []byte) {
		a := parseAttrs(data)
		out = append(out, expr{name: a.str(1), attrs: a.nested(2), raw: a[2]})
	})
	return out
}

// value is the data of an NFTA_DATA_VALUE nested in attribute typ.
func (a attrs) value(typ uint16) []byte { return a.nested(typ)[1] }
