package main

import (
	"errors"

	"github.com/spf13/cobra"

	"vethscope/ops/modes"
)

func newLinkCmd(g *global) *cobra.Command {
	return newNoun(g, "link", "Add, delete, move or set a link", true,
		linkAdd,
		verb{"delete LINK", "Delete a link, with the other end of a veth; undo restores it", "  vethscope link delete veth1",
			func(ns string, w given) (modes.Settings, error) {
				return modes.LinkDelete{NS: ns, Link: w["LINK"]}, nil
			}},
		verb{"move LINK NAMESPACE", "Move a link to another namespace, or to the host", "  vethscope link move veth2 c1\n  vethscope link move -n c1 veth2 host",
			func(ns string, w given) (modes.Settings, error) {
				return modes.LinkMove{NS: ns, Link: w["LINK"], To: w["NAMESPACE"]}, nil
			}},
		verb{"rename LINK NEWNAME", "Give a link another name", "  vethscope link rename -n c1 veth2 eth0",
			func(ns string, w given) (modes.Settings, error) {
				return modes.LinkRename{NS: ns, Link: w["LINK"], To: w["NEWNAME"]}, nil
			}},
		verb{"up LINK", "Switch a link on", "  vethscope link up -n c1 lo",
			func(ns string, w given) (modes.Settings, error) { return modes.LinkUp{NS: ns, Link: w["LINK"]}, nil }},
		verb{"down LINK", "Switch a link off; undo restores its routes, too", "  vethscope link down br0",
			func(ns string, w given) (modes.Settings, error) {
				return modes.LinkDown{NS: ns, Link: w["LINK"]}, nil
			}},
		verb{"mtu LINK BYTES", "Set the largest packet that a link takes", "  vethscope link mtu -n c1 eth0 1450",
			func(ns string, w given) (modes.Settings, error) {
				n, err := w.number("BYTES")
				return modes.LinkMTU{NS: ns, Link: w["LINK"], MTU: n}, err
			}},
		verb{"mac LINK ADDRESS", "Set a link's hardware address", "  vethscope link mac -n c1 eth0 02:00:00:00:00:01",
			func(ns string, w given) (modes.Settings, error) {
				return modes.LinkMAC{NS: ns, Link: w["LINK"], MAC: w["ADDRESS"]}, nil
			}},
		verb{"promisc LINK SWITCH", "Make a link take all frames (on), or its own (off)", "  vethscope link promisc up0 on",
			func(ns string, w given) (modes.Settings, error) {
				on, err := onOff(w["SWITCH"])
				return modes.LinkPromisc{NS: ns, Link: w["LINK"], On: on}, err
			}},
		verb{"master LINK BRIDGE", "Plug a link into a bridge", "  vethscope link master veth1 br0",
			func(ns string, w given) (modes.Settings, error) {
				return modes.LinkMaster{NS: ns, Link: w["LINK"], Bridge: w["BRIDGE"]}, nil
			}},
		verb{"release LINK", "Unplug a link from its bridge", "  vethscope link release veth1",
			func(ns string, w given) (modes.Settings, error) {
				return modes.LinkRelease{NS: ns, Link: w["LINK"]}, nil
			}},
	)
}

var linkAdd = verb{
	use:   "add NAME type TYPE [mtu BYTES] [address MAC] [peer PEER] [netns PEERNAMESPACE] [dev PARENT] [mode MODE] [id VNI] [local ADDRESS] [dstport PORT]",
	short: "Make a bridge, a veth pair, a macvlan, an ipvlan or a vxlan",
	example: "  vethscope link add br0 type bridge\n" +
		"  vethscope link add veth1 type veth peer eth0 netns c1\n" +
		"  vethscope link add mv0 type macvlan dev up0 mode bridge\n" +
		"  vethscope link add vx0 type vxlan id 42 local 10.10.0.1 dev up0",
	plan: func(ns string, w given) (modes.Settings, error) {
		mtu, err1 := w.number("BYTES")
		vni, err2 := w.number("VNI")
		port, err3 := w.number("PORT")
		return modes.LinkAdd{NS: ns, Link: w["NAME"], Type: w["TYPE"], MTU: mtu, MAC: w["MAC"], Peer: w["PEER"], PeerNS: w["PEERNAMESPACE"],
			Parent: w["PARENT"], Mode: w["MODE"], VNI: vni, Local: w["ADDRESS"], Port: port}, errors.Join(err1, err2, err3)
	},
}
