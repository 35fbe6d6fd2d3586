// Package steps holds every single change to the kernel that vethscope can
// make, one type each, with its check, its undo and its shell line. A step
// names namespaces as netns.Path does: "" is the one that vethscope runs in.
package steps

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"reflect"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"vethscope/ops"
	"vethscope/ops/netns"
)

// MarkPrefix begins the alias of every link that we made; the name of the plan
// follows.
const MarkPrefix = "vethscope:"

// Decode makes the step that kind names out of its JSON; it is the ops.Decode
// of the journal.
func Decode(kind string, data []byte) (ops.Step, error) {
	s := newStep(kind)
	if s == nil {
		return nil, fmt.Errorf("unknown kind of step %q: written by a newer vethscope?", kind)
	}
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("step %s: %w", kind, err)
	}
	return s, nil
}

// all has one of every type of step.
func all() []ops.Step {
	return []ops.Step{
		&NetnsAdd{}, &BridgeAdd{}, &VethAdd{}, &LinkMaster{}, &LinkUp{}, &AddrAdd{}, &RouteAdd{},
		&SysctlSet{}, &NftTable{}, &NftChain{}, &NftMasquerade{}, &NftDNAT{},
		&NetnsAttach{}, &VxlanAdd{}, &MacvlanAdd{}, &IpvlanAdd{}, &FdbAdd{}, &FdbDel{}, &NeighAdd{}, &NeighDel{},
		&PortHairpin{}, &NftHairpin{}, &NftIsolate{}, &ProcessStart{},
		&NetnsDelete{}, &NetnsRename{}, &LinkDelete{}, &LinkMove{}, &LinkRename{}, &LinkDown{}, &LinkMTU{}, &LinkMAC{},
		&LinkPromisc{}, &LinkRelease{}, &AddrDelete{}, &RouteDelete{}, &ForwardAccept{},
	}
}

// types are those of all, by kind.
var types = sync.OnceValue(func() map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for _, s := range all() {
		out[s.Kind()] = reflect.TypeOf(s).Elem()
	}
	return out
})

func newStep(kind string) ops.Step {
	t, ok := types()[kind]
	if !ok {
		return nil
	}
	return reflect.New(t).Interface().(ops.Step)
}

// in runs f with a netlink handle inside the namespace.
func in(ns string, f func(h *netlink.Handle) error) error {
	err := netns.Do(netns.Path(ns), func() error {
		h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return fmt.Errorf("open netlink: %w", err)
		}
		defer h.Close()
		return f(h)
	})
	return explain(err)
}

// The families of sockets that are kept.
const (
	rtnetlink = "rtnetlink"
	nfTables  = "nf_tables"
)

// socketKey finds a socket that is kept.
type socketKey struct {
	family, ns string
	inode      uint64 // as the name may be given to another namespace meanwhile
}

// shared is ops.Kept for a socket that open opens when it runs in the namespace.
func shared[T io.Closer](ctx context.Context, family, ns string, open func() (T, error)) (T, func(error), error) {
	key := socketKey{family: family, ns: ns}
	var none T
	var err error
	if ns != "" {
		if key.inode, err = netns.Inode(netns.Path(ns)); err != nil {
			return none, nil, explain(err)
		}
	}
	c, release, err := ops.Kept(ctx, key, func() (c T, err error) {
		err = netns.Do(netns.Path(ns), func() error {
			c, err = open()
			return err
		})
		return c, err
	})
	if err != nil {
		return none, nil, explain(fmt.Errorf("open %s: %w", family, err))
	}
	return c, release, nil
}

// undoIn is in for an Undo: a namespace that is gone took everything with it.
func undoIn(ns string, f func(h *netlink.Handle) error) error {
	err := in(ns, f)
	if ns != "" && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// explain adds to an error of the kernel what to do about it.
func explain(err error) error {
	var lack *lackError
	switch {
	case errors.As(err, &lack): // says it all
		return err
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w (needs CAP_NET_ADMIN: run it in `vethscope sandbox`, or as root with --host)", err)
	case errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("%w (this kernel was built without it)", err)
	}
	return err
}

// findLink returns nil and no error where there is no such link.
func findLink(h *netlink.Handle, name string) (netlink.Link, error) {
	l, err := h.LinkByName(name)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return nil, nil
	}
	return l, err
}

// needLink is findLink for a link that must be there.
func needLink(h *netlink.Handle, ns, name string) (netlink.Link, error) {
	l, err := findLink(h, name)
	if err == nil && l == nil {
		err = noLink(ns, name)
	}
	return l, err
}

// freeLink refuses a name that is taken.
func freeLink(ctx context.Context, ns, name string) error {
	return over(ctx, ns, func(c *conn) error {
		index, err := c.index(name)
		if err != nil {
			return err
		}
		if index != 0 {
			return fmt.Errorf("link %s is already in %s: delete it or choose another name", name, label(ns))
		}
		return nil
	})
}

// label is the namespace's name for people.
func label(ns string) string {
	if ns == "" {
		return "the host"
	}
	return ns
}

// ip begins an ip(8) line that acts in ns.
func ip(ns string) string {
	if ns == "" {
		return "ip "
	}
	return "ip -n " + ns + " "
}

// exec begins the line of a command that is run in ns.
func exec(ns string) string {
	if ns == "" {
		return ""
	}
	return "ip netns exec " + ns + " "
}

// NetnsAdd makes an empty, named network namespace. It is marked as ours by an
// alias on its lo, which is there as long as the namespace is.
type NetnsAdd struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
	Inode  uint64 `json:"inode,omitempty"` // once made; notOurs where someone else was faster
}

// notOurs is no namespace's inode and no link's index.
const notOurs = 1<<31 - 1

func (s *NetnsAdd) Kind() string { return "netns.add" }
func (s *NetnsAdd) Why() string  { return s.Reason }
func (s *NetnsAdd) Shell() string {
	return "ip netns add " + s.Name + "; " + ip(s.Name) + "link set lo alias " + s.mark()
}

func (s *NetnsAdd) mark() string { return MarkPrefix + s.Name }

func (s *NetnsAdd) Check(context.Context) error { return freeName(s.Name) }

// Do keeps the socket by which it has marked the namespace for the steps that
// follow.
func (s *NetnsAdd) Do(ctx context.Context) error {
	var c *conn
	inode, err := netns.CreateWith(s.Name, func() (err error) {
		if c, err = dial(); err != nil {
			return fmt.Errorf("open %s: %w", rtnetlink, err)
		}
		if err = c.set(linkMessage(loIndex), attr(unix.IFLA_IFALIAS, []byte(s.mark()))); err != nil {
			c.Close()
		}
		return err
	})
	if errors.Is(err, fs.ErrExist) {
		inode = notOurs
	}
	s.Inode = inode
	if err == nil {
		ops.Keep(ctx, socketKey{rtnetlink, s.Name, inode}, c)
	}
	return explain(err)
}

// Undo deletes the namespace that was made, or the one that the undo of its
// deletion made in its place, which bears the mark.
func (s *NetnsAdd) Undo(context.Context) error {
	now, err := netns.Inode(netns.Path(s.Name))
	if err != nil || now == s.Inode {
		return deleteName(s.Name, s.Inode) // as it was made, or half-made
	}
	inode := s.Inode
	err = undoIn(s.Name, func(h *netlink.Handle) error {
		lo, err := findLink(h, "lo")
		if err == nil && lo != nil && lo.Attrs().Alias == s.mark() {
			inode = now
		}
		return err
	})
	if err != nil {
		return err
	}
	return deleteName(s.Name, inode)
}

// quote makes text safe as one word of a shell line.
func quote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
