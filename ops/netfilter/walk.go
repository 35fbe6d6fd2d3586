package netfilter

import (
	"math"
	"net/netip"
	"slices"
)

// walker takes one packet along its hooks.
type walker struct {
	rs       *Ruleset
	pkt      Packet
	src, dst netip.AddrPort // as they are at this point
	mark     mark
	ctMark   mark
	ctState  uint32
	ctStatus uint32
	hook     string
	in, out  string
	outKnown bool
	choices  *choices
	unsure   map[string]bool
	steps    *int // rules that may still be run, in all runs together
	// actual is how the flow was translated, when that is known: it leads
	// through what the rules leave open, and ends runs that contradict it.
	actual *Flow
	result outcome
	used   *used // notes what was looked at; nil when nobody asks
	dstAt  int   // the fact that dst is
}

// mark is the mark of a packet or of a flow, which a rule may set to something
// that is not known.
type mark struct {
	value uint32
	open  bool
}

// set changes a mark as iptables does: the bits of mask are cleared, and those
// of value turned over.
func (k *mark) set(value, mask uint32) { k.value = k.value&^mask ^ value }

// outcome is what one run came to.
type outcome struct {
	dnat, snat       *rewrite
	dropped          bool
	opaqueD, opaqueS bool // something not understood may have rewritten it
}

// The bits of a conntrack status and state that a NAT rule can ask for (IPS_*,
// and NF_CT_STATE_BIT as nft writes it).
const (
	ipsExpected = 1 << 0
	ipsSNAT     = 1 << 4
	ipsDNAT     = 1 << 5
	ipsSNATDone = 1 << 7
	ipsDNATDone = 1 << 8

	stateRelated = 1 << 2
	stateNew     = 1 << 3
)

// maxRuns bounds how many combinations of open questions are followed, and
// maxSteps how many rules are run for it: the number of ways through chains
// that jump to each other has no other bound.
const (
	maxRuns  = 512
	maxSteps = 1_000_000
)

// explore runs the packet through the rules, once for each combination of what
// cannot be decided. complete is false when there were too many.
func (rs *Ruleset) explore(p Packet, actual *Flow, used *used) (all []outcome, unsure []string, complete bool) {
	c := &choices{}
	reasons := map[string]bool{}
	steps := maxSteps
	for range maxRuns {
		w := &walker{rs: rs, pkt: p, src: p.Src, dst: p.Dst, mark: mark{value: p.Mark}, choices: c, unsure: reasons,
			steps: &steps, actual: actual, used: used, dstAt: factDst}
		w.run()
		all = append(all, w.result)
		if steps <= 0 {
			break
		}
		if !c.next() {
			return all, sortedKeys(reasons), true
		}
	}
	reasons["too many possibilities"] = true
	return all, sortedKeys(reasons), false
}

func sortedKeys(m map[string]bool) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// either is an open question, and why.
func (w *walker) either(why string) bool { return w.pickOf(2, why) == 0 }

func (w *walker) pickOf(n int, why string) int {
	w.unsure[clean(why)] = true
	return w.choices.pick(n)
}

// run takes the packet from hook to hook (Netfilter's packet flow for IPv4 and
// IPv6 packets that are routed).
func (w *walker) run() {
	w.ctState = stateNew
	if w.pkt.Related {
		w.ctState, w.ctStatus = stateRelated, ipsExpected
	}
	w.in = w.pkt.InLink
	first := "prerouting"
	made, delivered := w.pkt.ends(w.actual)
	if made {
		first = "output"
	}
	w.outKnown = true
	if first == "output" {
		w.firstOutLink()
	}
	if !w.visit(first) {
		return
	}
	w.out, w.outKnown = w.pkt.OutLink, !w.pkt.LinksOpen
	if delivered {
		w.visit("input")
		return
	}
	if first == "prerouting" && !w.visit("forward") {
		return
	}
	w.visit("postrouting")
}

// firstOutLink is where routing first sends a packet that is made here: to lo
// when it is for the namespace itself. A DNAT then sends it elsewhere.
func (w *walker) firstOutLink() {
	switch {
	case w.pkt.IsLocal != nil && w.pkt.IsLocal(w.dst.Addr()):
		w.out = "lo"
	case w.actual != nil && w.actual.Reply.Src == w.actual.Original.Dst && !w.pkt.LinksOpen:
		w.out = w.pkt.OutLink
	default:
		w.outKnown = false
	}
}

// visit runs the base chains of a hook in the kernel's order, and says whether
// the packet goes on.
func (w *walker) visit(hook string) bool {
	w.hook = hook
	natDone := false
	for pending := w.baseChains(hook); len(pending) > 0; {
		ch := w.nextChain(&pending)
		if ch.typ == "nat" && natDone {
			continue
		}
		v := w.base(ch)
		if v == verdictDrop || w.result.dropped {
			w.result.dropped = true
			return false
		}
		if ch.typ == "nat" {
			natDone = w.rewritten()
		}
	}
	w.ctStatus |= map[bool]uint32{true: ipsDNATDone, false: ipsSNATDone}[w.destinationHook()]
	return true
}

// destinationHook says that NAT changes the destination at this hook.
func (w *walker) destinationHook() bool { return w.hook == "prerouting" || w.hook == "output" }

// rewritten says whether a rule has rewritten the packet at this hook.
func (w *walker) rewritten() bool {
	if w.destinationHook() {
		return w.result.dnat != nil
	}
	return w.result.snat != nil
}

// baseChains are those of a hook that can matter: those of NAT, and those that
// set a mark, in the order of their tables and chains.
func (w *walker) baseChains(hook string) []*chain {
	var out []*chain
	for _, ch := range w.rs.chains {
		if !ch.base || ch.hook != hook || ch.table.dormant || !w.seesFamily(ch.table.family) {
			continue
		}
		if ch.typ == "nat" || ch.setsMark {
			out = append(out, ch)
		}
	}
	return out
}

func (w *walker) seesFamily(family uint8) bool { return family == familyInet || family == w.family() }

func (w *walker) family() uint8 {
	if w.pkt.Dst.Addr().Is4() {
		return familyIP
	}
	return familyIP6
}

// All NAT chains of a hook are called from one place among the other chains
// (NF_IP_PRI_NAT_DST, NF_IP_PRI_NAT_SRC), whatever their own priorities are,
// which only order them among themselves.
const (
	natDestinationPriority = -100
	natSourcePriority      = 100
)

func (w *walker) order(ch *chain) [2]int64 {
	if ch.typ != "nat" {
		return [2]int64{int64(ch.prio), math.MinInt64}
	}
	at := int64(natSourcePriority)
	if w.destinationHook() {
		at = natDestinationPriority
	}
	return [2]int64{at, int64(ch.prio)}
}

// nextChain takes out of pending the chain that comes next. Of chains with the
// same priority the one made later comes first; that is known within a table,
// from the handles. Between tables it is an open question.
func (w *walker) nextChain(pending *[]*chain) *chain {
	list := *pending
	var first []int
	for i, ch := range list {
		if len(first) == 0 || slices.Compare(pair(w.order(ch)), pair(w.order(list[first[0]]))) < 0 {
			first = []int{i}
			continue
		}
		if w.order(ch) != w.order(list[first[0]]) {
			continue
		}
		if j := slices.IndexFunc(first, func(j int) bool { return list[j].table == ch.table }); j < 0 {
			first = append(first, i)
		} else if ch.handle > list[first[j]].handle {
			first[j] = i
		}
	}
	i := first[len(first)-1]
	if len(first) > 1 {
		i = first[len(first)-1-w.pickOf(len(first), "order of chains with the same priority")]
	}
	ch := list[i]
	*pending = slices.Delete(slices.Clone(list), i, i+1)
	return ch
}

func pair(p [2]int64) []int64 { return p[:] }

// base runs a base chain; its policy decides when no rule has.
func (w *walker) base(ch *chain) int32 {
	switch v := w.chain(ch, 0); v {
	case verdictContinue, verdictReturn:
		if ch.drop {
			return verdictDrop
		}
		return verdictAccept
	default:
		return v
	}
}

// maxJumps is NFT_JUMP_STACK_SIZE: the kernel refuses deeper rulesets.
const maxJumps = 16

// chain runs the rules of a chain until one decides.
func (w *walker) chain(ch *chain, depth int) int32 {
	if ch == nil || depth > maxJumps {
		return verdictContinue
	}
	for _, r := range ch.rules {
		v := w.rule(r)
		switch v.code {
		case verdictContinue, verdictBreak:
		case verdictJump, verdictGoto:
			got := w.chain(ch.table.chains[v.chain], depth+1)
			undecided := got == verdictContinue || got == verdictReturn
			if !undecided {
				return got
			}
			if v.code == verdictGoto {
				return verdictReturn
			}
		default:
			return v.code
		}
		if w.result.dropped {
			return verdictDrop
		}
	}
	return verdictContinue
}

// apply notes what a NAT rule does. A rewrite that contradicts what is known of
// the flow ends the run.
func (w *walker) apply(r *rewrite) {
	from := w.pkt.Dst
	if r.isSource() {
		from = w.pkt.Src
		w.result.snat = r
		w.ctStatus |= ipsSNAT
	} else {
		w.result.dnat = r
		w.ctStatus |= ipsDNAT
	}
	if r.unknown {
		w.opaque()
	}
	if w.actual == nil {
		w.redirectTo(r)
		return
	}
	to := w.actual.Reply.Src
	if r.isSource() {
		to = w.actual.Reply.Dst
	} else {
		w.dst, w.dstAt = to, factReplySrc
	}
	if !r.unknown && !r.allows(from, to, &w.pkt, w.used) {
		w.result.dropped = true
	}
}

// redirectTo changes the destination as far as the rule names it; what a
// masquerade chooses is not looked at by any later rule.
func (w *walker) redirectTo(r *rewrite) {
	if r.isSource() {
		return
	}
	to := r.target(w.dst)
	if to.Addr().IsValid() {
		w.dst = netip.AddrPortFrom(to.Addr(), w.dst.Port())
	}
	if r.hasPort {
		w.dst = netip.AddrPortFrom(w.dst.Addr(), to.Port())
	}
}

// opaque notes that something not understood may rewrite the packet here.
func (w *walker) opaque() {
	if w.destinationHook() {
		w.result.opaqueD = true
	} else {
		w.result.opaqueS = true
	}
}
