package filter

import (
	"fmt"
	"strings"

	"golang.org/x/net/bpf"
)

// node is a decision: what an expression becomes before it is laid out as a
// program. Parts are taken from left to right, and only as far as needed.
type node interface{}

type (
	constant bool
	both     struct{ left, right node }
	either   struct{ left, right node }
	negated  struct{ x node }
	// choice is yes where cond holds, else no.
	choice struct{ cond, yes, no node }
	// implied is what must be known already where it stands: see generator.compute.
	implied struct {
		n  node
		at token
	}
	// test loads something into the accumulator and compares it.
	test struct {
		load []bpf.Instruction
		cond bpf.JumpTest
		k    uint32
		x    bool   // with the index register, not with k
		key  string // names the load for facts; simplify fills it in
	}
)

func all(first node, more ...node) node {
	for _, n := range more {
		first = both{first, n}
	}
	return first
}

func anyOf(first node, more ...node) node {
	for _, n := range more {
		first = either{first, n}
	}
	return first
}

// fact is how a test came out that was made before, or, in open, a node that
// tells nothing of any one test. It is a list that branches share.
type fact struct {
	test   test
	open   node
	result bool
	next   *fact
}

// loadKey names what a test loads; "" when it depends on scratch memory, which
// changes.
func (t test) loadKey() string {
	if t.x {
		return ""
	}
	var b strings.Builder
	for _, ins := range t.load {
		switch ins.(type) {
		case bpf.LoadScratch, bpf.StoreScratch:
			return ""
		}
		fmt.Fprintf(&b, "%#v;", ins)
	}
	return b.String()
}

// known looks up how a test ends.
func (f *fact) known(t test) (result, ok bool) {
	for ; f != nil && t.key != ""; f = f.next {
		switch {
		case f.test.key != t.key:
		case f.test.cond == bpf.JumpEqual && f.result:
			return compare(t.cond, f.test.k, t.k), true
		case f.test.cond == t.cond && f.test.k == t.k:
			return f.result, true
		}
	}
	return false, false
}

func compare(cond bpf.JumpTest, a, k uint32) bool {
	switch cond {
	case bpf.JumpEqual:
		return a == k
	case bpf.JumpGreaterThan:
		return a > k
	case bpf.JumpGreaterOrEqual:
		return a >= k
	}
	return a&k != 0 // JumpBitsSet
}

// learn adds what follows from n having come out as result.
func (f *fact) learn(n node, result bool) *fact {
	switch n := n.(type) {
	case negated:
		return f.learn(n.x, !result)
	case both:
		if result {
			return f.learn(n.left, true).learn(n.right, true)
		}
	case either:
		if !result {
			return f.learn(n.left, false).learn(n.right, false)
		}
	case test:
		if n.key != "" {
			return &fact{test: n, result: result, next: f}
		}
		return f
	}
	return &fact{open: n, result: result, next: f}
}

// refuted says that n cannot hold, as far as that is easily seen.
func (f *fact) refuted(n node) bool {
	switch n := n.(type) {
	case constant:
		return !bool(n)
	case both:
		return f.refuted(n.left) || f.refuted(n.right)
	case either:
		return f.refuted(n.left) && f.refuted(n.right)
	case choice:
		return f.refuted(n.yes) && f.refuted(n.no)
	case test:
		n.key = n.loadKey()
		result, ok := f.known(n)
		return ok && !result
	}
	return false
}

// simplify takes out what is already decided where it stands. A test is taken
// out only when the same load has succeeded before it, so that a packet that is
// too short for it is still rejected.
func simplify(n node, f *fact) node {
	switch n := n.(type) {
	case negated:
		x := simplify(n.x, f)
		if c, ok := x.(constant); ok {
			return !c
		}
		return negated{x}
	case both:
		return n.simplify(f)
	case either:
		return n.simplify(f)
	case choice:
		cond := simplify(n.cond, f)
		if c, ok := cond.(constant); ok {
			if c {
				return simplify(n.yes, f)
			}
			return simplify(n.no, f)
		}
		return choice{cond, simplify(n.yes, f.learn(cond, true)), simplify(n.no, f.learn(cond, false))}
	case implied:
		if !prove(n.n, f) {
			bail(n.at, "libpcap forgets to check the protocol of what is on the right; "+
				"put that on the left, or name the protocol before: ip and …")
		}
		return constant(true)
	case test:
		n.key = n.loadKey()
		if r, ok := f.known(n); ok {
			return constant(r)
		}
		return n
	}
	return n
}

func (n both) simplify(f *fact) node {
	if inner, ok := n.left.(both); ok {
		return both{inner.left, both{inner.right, n.right}}.simplify(f)
	}
	left := simplify(n.left, f)
	if left == constant(false) {
		return left
	}
	right := simplify(n.right, f.learn(left, true))
	switch {
	case left == constant(true):
		return right
	case right == constant(true):
		return left
	}
	return both{left, right}
}

func (n either) simplify(f *fact) node {
	if inner, ok := n.left.(either); ok {
		return either{inner.left, either{inner.right, n.right}}.simplify(f)
	}
	left := simplify(n.left, f)
	if left == constant(true) {
		return left
	}
	// Where the first part of left rules right out, as with two protocols,
	// right is not tried after the rest of left has failed.
	if l, ok := left.(both); ok && f.learn(l.left, true).refuted(n.right) {
		return choice{l.left, l.right, simplify(n.right, f.learn(l.left, false))}
	}
	right := simplify(n.right, f.learn(left, false))
	switch {
	case left == constant(false):
		return right
	case right == constant(false):
		return left
	}
	return either{left, right}
}
