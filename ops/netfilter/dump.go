package netfilter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
)

// errMixed says that the ruleset changed while it was read.
var errMixed = errors.New("ruleset changed while it was read")

// nftConn asks nf_tables over one netlink socket.
type nftConn struct {
	conn *netlink.Conn
}

// dial opens a netfilter socket inside the namespace that nsPath opens. The
// socket's deadline follows ctx until release is called.
func dial(ctx context.Context, nsPath string) (conn *netlink.Conn, release func(), err error) {
	if ctx.Err() != nil {
		return nil, nil, ctx.Err()
	}
	err = netns.Do(nsPath, func() (err error) {
		conn, err = netlink.Dial(unix.NETLINK_NETFILTER, nil)
		return err
	})
	if err != nil {
		if conn != nil {
			conn.Close()
		}
		return nil, nil, fmt.Errorf("open netfilter socket: %w", translate(err))
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	return conn, func() { stop(); conn.Close() }, nil
}

// request is an nf_tables message for one family; 0 asks for all of them.
func request(typ uint16, family uint8, flags netlink.HeaderFlags, a []netlink.Attribute) (netlink.Message, error) {
	data, err := netlink.MarshalAttributes(a)
	if err != nil {
		return netlink.Message{}, err
	}
	return netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | typ),
			Flags: netlink.Request | flags,
		},
		Data: append([]byte{family, 0, 0, 0}, data...), // struct nfgenmsg, version 0
	}, nil
}

// dump asks for all objects of a type and calls f with each one's family and
// attributes. It fails with errMixed when the kernel says that the list
// changed under the dump.
func (c nftConn) dump(typ uint16, family uint8, a []netlink.Attribute, f func(family uint8, a attrs)) error {
	req, err := request(typ, family, netlink.Dump, a)
	if err != nil {
		return err
	}
	replies, err := c.conn.Execute(req)
	if err != nil {
		return err
	}
	for _, m := range replies {
		if m.Header.Flags&netlink.DumpInterrupted != 0 {
			return errMixed
		}
		if len(m.Data) >= 4 {
			f(m.Data[0], parseAttrs(m.Data[4:]))
		}
	}
	return nil
}

// generation is the number that grows with every change to the ruleset.
func (c nftConn) generation() (uint32, error) {
	req, err := request(unix.NFT_MSG_GETGEN, 0, 0, nil)
	if err != nil {
		return 0, err
	}
	replies, err := c.conn.Execute(req)
	if err != nil {
		// nfnetlink answers EINVAL for a subsystem that it does not have.
		if errors.Is(err, unix.EINVAL) {
			err = unix.EOPNOTSUPP
		}
		return 0, err
	}
	if len(replies) == 0 || len(replies[0].Data) < 4 {
		return 0, errors.New("kernel gave no ruleset generation")
	}
	return parseAttrs(replies[0].Data[4:]).u32(1), nil
}

// load reads the whole ruleset once.
func (c nftConn) load() (*tables, error) {
	before, err := c.generation()
	if err != nil {
		return nil, err
	}
	ts := &tables{byKey: map[tableKey]*table{}}
	for _, part := range []struct {
		what string
		read func(*tables) error
	}{
		{"tables", c.loadTables}, {"chains", c.loadChains}, {"sets", c.loadSets},
		{"set elements", c.loadElements}, {"rules", c.loadRules},
	} {
		if err := part.read(ts); err != nil {
			return nil, fmt.Errorf("read %s: %w", part.what, err)
		}
	}
	after, err := c.generation()
	if err != nil {
		return nil, err
	}
	if before != after {
		return nil, errMixed
	}
	return ts, nil
}

type tableKey struct {
	family uint8
	name   string
}

// tables keeps the tables and chains in the kernel's order, which is the order
// in which they were made.
type tables struct {
	list   []*table
	chains []*chain
	byKey  map[tableKey]*table
}

func (ts *tables) find(family uint8, name string) *table { return ts.byKey[tableKey{family, name}] }

func (c nftConn) loadTables(ts *tables) error {
	return c.dump(unix.NFT_MSG_GETTABLE, 0, nil, ts.addTable)
}

func (ts *tables) addTable(family uint8, a attrs) {
	t := &table{
		family: family, name: a.str(unix.NFTA_TABLE_NAME),
		dormant: a.u32(unix.NFTA_TABLE_FLAGS)&unix.NFT_TABLE_F_DORMANT != 0,
		chains:  map[string]*chain{}, sets: map[string]*set{}, links: map[uint32]string{},
	}
	ts.list = append(ts.list, t)
	ts.byKey[tableKey{family, t.name}] = t
}

func (c nftConn) loadChains(ts *tables) error {
	return c.dump(unix.NFT_MSG_GETCHAIN, 0, nil, ts.addChain)
}

func (ts *tables) addChain(family uint8, a attrs) {
	t := ts.find(family, a.str(unix.NFTA_CHAIN_TABLE))
	if t == nil {
		return
	}
	ch := &chain{
		table: t, name: a.str(unix.NFTA_CHAIN_NAME), handle: a.uint(unix.NFTA_CHAIN_HANDLE),
		typ: a.str(unix.NFTA_CHAIN_TYPE),
	}
	if a.has(unix.NFTA_CHAIN_HOOK) {
		hook := a.nested(unix.NFTA_CHAIN_HOOK)
		ch.base = true
		ch.hook = hookName(family, hook.u32(unix.NFTA_HOOK_HOOKNUM))
		ch.prio = int32(hook.u32(unix.NFTA_HOOK_PRIORITY))
		ch.drop = a.has(unix.NFTA_CHAIN_POLICY) && a.u32(unix.NFTA_CHAIN_POLICY) == verdictDrop
	}
	if a.has(unix.NFTA_CHAIN_COUNTERS) {
		n := a.nested(unix.NFTA_CHAIN_COUNTERS)
		ch.count = &Counter{Packets: n.uint(unix.NFTA_COUNTER_PACKETS), Bytes: n.uint(unix.NFTA_COUNTER_BYTES)}
	}
	t.chains[ch.name] = ch
	ts.chains = append(ts.chains, ch)
}

func (c nftConn) loadSets(ts *tables) error {
	return c.dump(unix.NFT_MSG_GETSET, 0, nil, ts.addSet)
}

func (ts *tables) addSet(family uint8, a attrs) {
	t := ts.find(family, a.str(unix.NFTA_SET_TABLE))
	if t == nil {
		return
	}
	s := &set{
		name: a.str(unix.NFTA_SET_NAME), flags: a.u32(unix.NFTA_SET_FLAGS),
		keyType: a.u32(unix.NFTA_SET_KEY_TYPE), keyLen: a.u32(unix.NFTA_SET_KEY_LEN),
		dataType: a.u32(unix.NFTA_SET_DATA_TYPE), dataLen: a.u32(unix.NFTA_SET_DATA_LEN),
	}
	t.sets[s.name] = s
}

func (c nftConn) loadElements(ts *tables) error {
	for _, t := range ts.list {
		for _, s := range t.sets {
			which := []netlink.Attribute{
				{Type: unix.NFTA_SET_ELEM_LIST_TABLE, Data: append([]byte(t.name), 0)},
				{Type: unix.NFTA_SET_ELEM_LIST_SET, Data: append([]byte(s.name), 0)},
			}
			if err := c.dump(unix.NFT_MSG_GETSETELEM, t.family, which, s.addElements); err != nil {
				// A set that went away between the dumps: the generation moved.
				if errors.Is(err, unix.ENOENT) {
					return errMixed
				}
				return err
			}
		}
	}
	return nil
}

func (s *set) addElements(_ uint8, a attrs) {
	eachAttr(a[unix.NFTA_SET_ELEM_LIST_ELEMENTS], func(_ uint16, b []byte) {
		a := parseAttrs(b)
		e := element{
			key: a.value(unix.NFTA_SET_ELEM_KEY), keyEnd: a.value(attrSetElemKeyEnd),
			flags: a.u32(unix.NFTA_SET_ELEM_FLAGS),
		}
		data := a.nested(unix.NFTA_SET_ELEM_DATA)
		if data.has(unix.NFTA_DATA_VERDICT) {
			e.verdict = parseVerdict(data[unix.NFTA_DATA_VERDICT])
		} else {
			e.data = data[unix.NFTA_DATA_VALUE]
		}
		s.elems = append(s.elems, e)
	})
}

// attrSetElemKeyEnd is NFTA_SET_ELEM_KEY_END, which x/sys/unix does not have.
const attrSetElemKeyEnd = 10

func (c nftConn) loadRules(ts *tables) error {
	return c.dump(unix.NFT_MSG_GETRULE, 0, nil, ts.addRule)
}

func (ts *tables) addRule(family uint8, a attrs) {
	t := ts.find(family, a.str(unix.NFTA_RULE_TABLE))
	if t == nil {
		return
	}
	ch := t.chains[a.str(unix.NFTA_RULE_CHAIN)]
	if ch == nil {
		return
	}
	ch.rules = append(ch.rules, &rule{
		chain: ch, handle: a.uint(unix.NFTA_RULE_HANDLE),
		exprs: parseExprs(a[unix.NFTA_RULE_EXPRESSIONS]), comment: userComment(a[unix.NFTA_RULE_USERDATA]),
	})
}
