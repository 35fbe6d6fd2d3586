package filter

// expr is an expression as it was parsed.
type expr interface{}

type (
	andExpr struct{ left, right expr }
	orExpr  struct{ left, right expr }
	notExpr struct{ x expr }

	// everything is the empty expression.
	everything struct{}

	// protoExpr is a protocol's word alone: "tcp".
	protoExpr struct{ word token }

	// idExpr is an address, a port or a protocol with its qualifiers.
	idExpr struct {
		q      qualifiers
		id     token
		mask   token // behind "mask"; tokEnd when there is none
		prefix token // behind "/"; tokEnd when there is none
	}

	// castExpr is "ip multicast".
	castExpr struct{ proto, word token }

	// lengthExpr is "less 100" or "greater 100".
	lengthExpr struct{ word, number token }

	// tagExpr is "vlan", "mpls" or "pppoes" with its number, or tokEnd.
	tagExpr struct{ word, number token }

	// flagExpr is a word that needs nothing: "inbound", "pppoed", "rewritten".
	flagExpr struct{ word token }

	// vxlanExpr is "vxlan port 4789 vni 42", either of which may be left out.
	vxlanExpr struct{ word, port, vni token }

	// valueExpr is a word of display filters with its value: "ns blue".
	valueExpr struct{ word, value token }

	// relExpr compares two numbers.
	relExpr struct {
		op          token
		left, right arith
	}
)

// qualifiers say how an identifier is meant; the words are "" when left out.
type qualifiers struct {
	proto string
	dir   string // "src", "dst", "and", "or"
	typ   string // "host", "net", "port", "portrange", "proto"
	at    token
}

// arith is an expression whose value is a number.
type arith interface{}

type (
	numArith struct{ value uint32 }
	lenArith struct{}
	negArith struct{ x arith }
	// binArith is a computation; op is its operator.
	binArith struct {
		op          token
		left, right arith
	}
	// loadArith is "ip[6:2]".
	loadArith struct {
		proto token
		index arith
		size  int
	}
)
