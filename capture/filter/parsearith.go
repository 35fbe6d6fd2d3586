package filter

// binding is how close an operator binds. libpcap's grammar gives "%" and "^"
// no place in that order, so that they take all that follows as their right
// side, and are themselves taken before anything on their left; tighter stands
// for that.
var binding = map[string]int{"|": 1, "&": 2, "<<": 3, ">>": 3, "+": 4, "-": 4, "*": 5, "/": 5, "%": tighter, "^": tighter}

const tighter = 100

// atNumber says that a comparison of numbers begins here.
func (p *parser) atNumber() bool {
	t := p.peek()
	switch {
	case t.kind == tokNumber, t.is("-", "len", "length", "("):
		return true
	}
	return t.kind == tokWord && protoWords[t.text] && p.after(1).is("[")
}

func (p *parser) relation() expr {
	left := p.arithmetic(0)
	op := p.next()
	if !relation(op) {
		p.unexpected(op, "a comparison expected, such as = or >")
	}
	return relExpr{op: op, left: left, right: p.arithmetic(0)}
}

// arithmetic reads operators that bind at least as close as least.
func (p *parser) arithmetic(least int) arith {
	defer p.enter()()
	left := p.operandNumber()
	for {
		op := p.peek()
		b, ok := binding[op.text]
		if !ok || op.kind != tokOp || b < least {
			return left
		}
		p.pos++
		right := p.arithmetic(rightOf(b))
		left = binArith{op: op, left: left, right: right}
	}
}

func rightOf(b int) int {
	if b == tighter {
		return 0
	}
	return b + 1
}

func (p *parser) operandNumber() arith {
	t := p.peek()
	switch {
	case t.kind == tokNumber:
		return numArith{p.next().number}
	case p.accept("len", "length"):
		return lenArith{}
	case p.accept("-"):
		return negArith{p.arithmetic(tighter)}
	case p.accept("("):
		a := p.arithmetic(0)
		p.expect(")")
		return a
	case t.kind == tokWord && protoWords[t.text] && p.after(1).is("["):
		return p.load()
	}
	p.unexpected(t, "a number expected")
	return nil
}

// load reads "proto[index:size]".
func (p *parser) load() arith {
	a := loadArith{proto: p.next(), size: 1}
	p.pos++ // the bracket
	a.index = p.arithmetic(0)
	if p.accept(":") {
		n := p.number("a size of 1, 2 or 4 expected")
		if n.number != 1 && n.number != 2 && n.number != 4 {
			bail(n, "the size must be 1, 2 or 4")
		}
		a.size = int(n.number)
	}
	p.expect("]")
	return a
}
