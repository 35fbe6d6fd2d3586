package filter

// maxDepth is how deep parentheses and negations may be nested.
const maxDepth = 200

// parser is a recursive descent over the grammar of pcap-filter(7): "and" and
// "or" bind alike, from the left; "not" binds closest; an identifier without
// qualifiers takes those of the expression before it.
type parser struct {
	tokens  []token
	arith   []bool // of each opening parenthesis: it holds a number
	pos     int
	depth   int
	display bool
}

func parse(s string, display bool) expr {
	p := &parser{tokens: lex(s, display), display: display}
	p.arith = arithmeticParentheses(p.tokens)
	if p.peek().kind == tokEnd {
		return everything{}
	}
	e, _ := p.expression(nil)
	if t := p.peek(); t.kind != tokEnd {
		p.unexpected(t, `"and" or "or" expected`)
	}
	return e
}

func (p *parser) peek() token { return p.tokens[p.pos] }

// after is the token n behind the next one.
func (p *parser) after(n int) token { return p.tokens[min(p.pos+n, len(p.tokens)-1)] }

func (p *parser) next() token {
	t := p.tokens[p.pos]
	if t.kind != tokEnd {
		p.pos++
	}
	return t
}

func (p *parser) accept(words ...string) bool {
	if p.peek().is(words...) {
		p.pos++
		return true
	}
	return false
}

func (p *parser) expect(word string) {
	if !p.accept(word) {
		p.unexpected(p.peek(), "%q expected", word)
	}
}

// unexpected says why a word cannot be used at all, if so, or else what was
// expected in its place.
func (p *parser) unexpected(t token, format string, args ...any) {
	if why, ok := refused[t.text]; ok && t.kind == tokWord {
		bail(t, "not supported: %s", why)
	}
	if displayWords[t.text] && !p.display {
		bail(t, "a word of display filters, which the kernel cannot check")
	}
	bail(t, format, args...)
}

// enter guards against nesting that would exhaust the stack; call what it
// returns on the way out.
func (p *parser) enter() func() {
	p.depth++
	if p.depth > maxDepth {
		bail(p.peek(), "nested deeper than %d", maxDepth)
	}
	return func() { p.depth-- }
}

// expression also returns the qualifiers that an identifier behind it takes.
func (p *parser) expression(q *qualifiers) (expr, *qualifiers) {
	left, q := p.term(q)
	for {
		switch {
		case p.accept("and", "&&"):
			var right expr
			right, q = p.operand(q)
			left = andExpr{left, right}
		case p.accept("or", "||"):
			var right expr
			right, q = p.operand(q)
			left = orExpr{left, right}
		default:
			return left, q
		}
	}
}

// operand is what may stand behind "and" and "or".
func (p *parser) operand(q *qualifiers) (expr, *qualifiers) {
	if p.atIdentifier() {
		return p.identifier(q), q
	}
	return p.term(q)
}

func (p *parser) term(q *qualifiers) (expr, *qualifiers) {
	defer p.enter()()
	if p.accept("not", "!") {
		x, q := p.term(q)
		return notExpr{x}, q
	}
	if p.peek().is("(") && !p.arith[p.pos] {
		p.pos++
		e, _ := p.expression(q)
		p.expect(")")
		return e, q
	}
	return p.primitive()
}

// atIdentifier says that what follows is an identifier without qualifiers, or
// a parenthesis of them.
func (p *parser) atIdentifier() bool {
	for i := p.pos; ; i++ {
		switch t := p.tokens[i]; {
		case t.is("not", "!"):
		case t.is("("):
			if p.arith[i] {
				return false
			}
		case t.kind == tokNumber:
			return !operator(p.tokens[i+1])
		default:
			return isIdentifier(t)
		}
	}
}

func isIdentifier(t token) bool {
	switch t.kind {
	case tokName, tokNumber, tokIP4, tokIP6, tokMAC:
		return true
	}
	return false
}

// operator says that t can only stand behind a number.
func operator(t token) bool {
	_, binary := binding[t.text]
	return t.kind == tokOp && (binary || relation(t))
}

func relation(t token) bool { return t.is("=", "==", "!=", "<", ">", "<=", ">=") }

// arithmeticParentheses finds the parentheses whose other end is followed by an
// operator: they hold a number.
func arithmeticParentheses(tokens []token) []bool {
	found := make([]bool, len(tokens))
	var open []int
	for i, t := range tokens {
		switch {
		case t.is("("):
			open = append(open, i)
		case t.is(")") && len(open) > 0:
			found[open[len(open)-1]] = operator(tokens[i+1])
			open = open[:len(open)-1]
		}
	}
	return found
}

// identifier is one identifier, or several in parentheses, all meant as q says.
func (p *parser) identifier(q *qualifiers) expr {
	defer p.enter()()
	if p.accept("not", "!") {
		return notExpr{p.identifier(q)}
	}
	if !p.accept("(") {
		return p.single(q)
	}
	left := p.identifier(q)
	for !p.accept(")") {
		switch {
		case p.accept("and", "&&"):
			left = andExpr{left, p.identifier(q)}
		case p.accept("or", "||"):
			left = orExpr{left, p.identifier(q)}
		default:
			p.unexpected(p.peek(), `")" expected`)
		}
	}
	return left
}

func (p *parser) single(q *qualifiers) expr {
	t := p.next()
	if !isIdentifier(t) {
		p.unexpected(t, "an address, a port or a protocol expected%s", quoteHint(t))
	}
	if q == nil {
		bail(t, `needs a word before it that says what it is, such as "host", "net" or "port"`)
	}
	e := idExpr{q: *q, id: t}
	switch {
	case (t.kind == tokIP4 || t.kind == tokIP6) && p.accept("/"):
		if e.prefix = p.next(); e.prefix.kind != tokNumber {
			bail(e.prefix, "a prefix length expected")
		}
	case t.kind == tokIP4 && p.accept("mask"):
		if e.mask = p.next(); e.mask.kind != tokIP4 {
			bail(e.mask, "a netmask expected, such as 255.255.255.0")
		}
	}
	return e
}

// quoteHint is for "ip proto tcp", where the name is a keyword as well.
func quoteHint(t token) string {
	if t.kind == tokWord && protoWords[t.text] {
		return `; write \` + t.text + ` for the name of a protocol`
	}
	return ""
}

// primitive is one test.
func (p *parser) primitive() (expr, *qualifiers) {
	t := p.peek()
	switch {
	case p.accept("less", "greater"):
		return lengthExpr{t, p.number("a number of bytes expected")}, nil
	case p.accept("vlan", "mpls", "pppoes"):
		e := tagExpr{word: t}
		if n := p.peek(); n.kind == tokNumber {
			e.number = p.next()
		}
		return e, nil
	case p.accept("inbound", "outbound", "pppoed"):
		return flagExpr{t}, nil
	case p.accept("broadcast", "multicast"):
		return castExpr{word: t}, nil
	case p.accept("vxlan"):
		return p.vxlan(t), nil
	case p.display && t.kind == tokWord && displayWords[t.text]:
		return p.displayWord(), nil
	case p.atNumber():
		return p.relation(), nil
	}
	return p.qualified()
}

func (p *parser) number(what string) token {
	if p.peek().kind != tokNumber {
		p.unexpected(p.peek(), "%s", what)
	}
	return p.next()
}

// vxlan reads what may stand behind the word.
func (p *parser) vxlan(word token) expr {
	e := vxlanExpr{word: word}
	for {
		switch t := p.peek(); {
		case t.is("port") && e.port.kind == tokEnd:
			p.pos++
			e.port = p.number("a UDP port expected")
			if e.port.number > 65535 {
				bail(e.port, "ports end at 65535")
			}
		case t.text == "vni" && e.vni.kind == tokEnd:
			p.pos++
			e.vni = p.vni()
		default:
			return e
		}
	}
}

func (p *parser) vni() token {
	t := p.number("a VXLAN network identifier expected")
	if t.number > 1<<24-1 {
		bail(t, "VXLAN network identifiers end at 16777215")
	}
	return t
}

func (p *parser) displayWord() expr {
	switch t := p.next(); t.text {
	case "rewritten":
		return flagExpr{t}
	case "vni":
		return valueExpr{t, p.vni()}
	case "flow":
		return valueExpr{t, p.number("the number of a flow expected")}
	default: // point, ns
		v := p.next()
		if v.kind != tokText {
			what := "the name of a namespace expected"
			if t.text == "point" {
				what = "NAMESPACE:LINK expected"
			}
			bail(v, "%s", what)
		}
		return valueExpr{t, v}
	}
}

// qualified is a protocol, direction and type with an identifier, or a
// protocol alone.
func (p *parser) qualified() (expr, *qualifiers) {
	start := p.peek()
	q := &qualifiers{at: start}
	if start.kind == tokWord && protoWords[start.text] {
		p.pos++
		q.proto = start.text
		if w := p.peek(); p.accept("broadcast", "multicast") {
			return castExpr{start, w}, nil
		}
	}
	if p.peek().is("src", "dst") {
		q.dir = p.direction()
	}
	switch t := p.peek(); {
	case p.accept("host", "net", "port", "portrange"):
		q.typ = t.text
	case q.dir == "" && p.accept("proto"):
		q.typ = t.text
	}
	if q.dir == "" && q.typ == "" {
		if q.proto == "" || refusedNext(p.peek()) {
			p.unexpected(p.peek(), `a test such as "tcp", "host 10.0.0.1" or "port 53" expected`)
		}
		return protoExpr{start}, nil
	}
	return p.identifier(q), q
}

func refusedNext(t token) bool { return t.kind == tokWord && refused[t.text] != "" }

// direction reads "src", "dst", "src or dst" and "src and dst".
func (p *parser) direction() string {
	dir, other := p.next().text, "dst"
	if dir == "dst" {
		other = "src"
	}
	both := p.peek()
	if !both.is("and", "&&", "or", "||") || !p.after(1).is(other) {
		return dir
	}
	p.pos += 2
	if both.is("and", "&&") {
		return "and"
	}
	return "or"
}
