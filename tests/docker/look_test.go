package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"vethscope/ops/netfilter"
	"vethscope/ops/netns"
	"vethscope/ops/probe"
)

// ip runs a program in a namespace: "" is the host, a path is a path, and all
// else a name.
func ip(ns string, args ...string) string {
	return run(append([]string{"nsenter", "--net=" + path(ns)}, args...)...)
}

func path(ns string) string {
	if filepath.IsAbs(ns) {
		return ns
	}
	return netns.Path(ns)
}

func label(ns string) string {
	if ns == "" {
		return "the host"
	}
	return ns
}

func same(a, b, text string) string {
	i, err := netns.Inode(a)
	must(err)
	j, err := netns.Inode(b)
	must(err)
	if i != j {
		text = "not " + text
	}
	return text
}

// link is what ip(8) tells of a link in JSON.
type link struct {
	Index       int      `json:"ifindex"`
	Name        string   `json:"ifname"`
	Peer        int      `json:"link_index"`
	MTU         int      `json:"mtu"`
	Flags       []string `json:"flags"`
	Address     string   `json:"address"`
	Master      string   `json:"master"`
	Promiscuity int      `json:"promiscuity"`
	Info        struct {
		Kind string         `json:"info_kind"`
		Data map[string]any `json:"info_data"`
	} `json:"linkinfo"`
	Addrs []struct {
		Family string `json:"family"`
		Local  string `json:"local"`
		Length int    `json:"prefixlen"`
		Scope  string `json:"scope"`
	} `json:"addr_info"`
}

// linksOf is sorted by name.
func linksOf(ns string) []link {
	var list, addrs []link
	must(json.Unmarshal([]byte(ip(ns, "ip", "-j", "-d", "link")), &list))
	must(json.Unmarshal([]byte(ip(ns, "ip", "-j", "addr")), &addrs))
	for i := range list {
		list[i].Addrs = addrs[slices.IndexFunc(addrs, func(l link) bool { return l.Index == list[i].Index })].Addrs
	}
	slices.SortFunc(list, func(a, b link) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func linkOf(ns, name string) link {
	list := linksOf(ns)
	i := slices.IndexFunc(list, func(l link) bool { return l.Name == name })
	if i < 0 {
		must(fmt.Errorf("no link %s in %s: %v", name, label(ns), list))
	}
	return list[i]
}

// described are the settings of each kind that are compared.
var described = map[string][]string{
	"bridge":  {"stp_state", "vlan_filtering"},
	"vxlan":   {"id", "port", "learning", "proxy", "l2miss", "l3miss"},
	"macvlan": {"mode"},
}

func describe(l link) string {
	words := []string{l.Info.Kind, fmt.Sprint("mtu ", l.MTU), "down"}
	if slices.Contains(l.Flags, "UP") {
		words[2] = "up"
	}
	for _, key := range described[l.Info.Kind] {
		if v, ok := l.Info.Data[key]; ok {
			words = append(words, fmt.Sprintf("%s %v", key, v))
		}
	}
	if l.Promiscuity > 0 {
		words = append(words, "promiscuous")
	}
	return strings.TrimSpace(strings.Join(words, " "))
}

// links names the links of a namespace with their kinds.
func links(ns string) string {
	var out []string
	for _, l := range linksOf(ns) {
		out = append(out, l.Name+" "+l.Info.Kind)
	}
	return strings.Join(out, ", ")
}

// addrs are the addresses of one family, "" of all links. Those that are made of
// a MAC are called so.
func addrs(ns, name, family string) string {
	var out []string
	for _, l := range linksOf(ns) {
		for _, a := range l.Addrs {
			if a.Family != family || name != "" && l.Name != name {
				continue
			}
			text := fmt.Sprintf("%s/%d", a.Local, a.Length)
			if a.Family == "inet6" && a.Scope == "link" {
				text = "link-local"
			}
			out = append(out, l.Name+" "+text)
		}
	}
	return strings.Join(out, ", ")
}

// only is the one IPv4 address of a link.
func only(ns, name string) string {
	for _, a := range linkOf(ns, name).Addrs {
		if a.Family == "inet" {
			return a.Local
		}
	}
	must(fmt.Errorf("%s in %s has no address", name, ns))
	return ""
}

// inside looks at a container.
func (f facts) inside(ns string) {
	for _, l := range linksOf(ns) {
		if l.Name == "lo" {
			continue
		}
		f[ns+"'s "+l.Name] = describe(l)
		f[ns+"'s "+l.Name+" has a MAC made of its address"] = fmt.Sprint(l.Address == macOf(only(ns, l.Name)))
	}
	f[ns+"'s links"] = links(ns)
	f[ns+"'s IPv4"] = addrs(ns, "", "inet")
	f[ns+"'s IPv6"] = addrs(ns, "", "inet6")
	f[ns+"'s routes"] = strings.Join(strings.Fields(ip(ns, "ip", "route")), " ")
}

func macOf(addr string) string {
	b := netip.MustParseAddr(addr).As4()
	return fmt.Sprintf("02:42:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3])
}

// hostEnd is the host's end of a container's cable.
func hostEnd(ns string) string {
	peer := linkOf(ns, "eth0").Peer
	for _, l := range linksOf("") {
		if l.Index == peer {
			return describe(l) + ", port of " + l.Master
		}
	}
	return "none"
}

// nsid is how ip(8) tells of an address in another namespace.
var nsid = regexp.MustCompile(` link-netnsid \d+`)

// after is the rest of the first line that begins with text.
func after(lines, text string) string {
	for line := range strings.Lines(lines) {
		if rest, ok := strings.CutPrefix(line, text); ok {
			return strings.TrimSpace(nsid.ReplaceAllString(rest, ""))
		}
	}
	return "none in: " + lines
}

func parameter(name string) string {
	data, err := os.ReadFile("/proc/sys/" + name)
	must(err)
	return strings.TrimSpace(string(data))
}

// What is compared of a rule's text, in the words of iptables and of nft.
var (
	source    = regexp.MustCompile(`(?:-s|ip saddr) (\S+)`)
	notOut    = regexp.MustCompile(`(?:! -o (\S+)|oifname != "([^"]+)")`)
	published = regexp.MustCompile(`\b(tcp|udp) .*?dport (\d+)`)
)

// rules looks at NAT, and at what happens to what is forwarded. What only one side
// has is told as it is.
func (f facts) rules(ns, bridge string) {
	rs, err := netfilter.Read(context.Background(), path(ns))
	must(err)
	var snat, other []string
	dnat := map[string][]string{} // the hooks
	for _, r := range rs.Rules {
		if r.NAT == nil {
			continue
		}
		out := notOut.FindStringSubmatch(r.Text)
		switch p := published.FindStringSubmatch(r.Text); {
		case r.NAT.Kind == "dnat" && p != nil:
			key := fmt.Sprintf("%s %s to %s:%s", p[1], p[2], r.NAT.Addr, r.NAT.Port)
			dnat[key] = append(dnat[key], hooks(rs, r)...)
		case r.NAT.Kind == "masquerade" && out != nil:
			snat = append(snat, fmt.Sprintf("%s except by %s", source.FindStringSubmatch(r.Text)[1], strings.ReplaceAll(out[1]+out[2], bridge, "the bridge")))
		default:
			other = append(other, regexp.MustCompile(` counter| comment ".*"`).ReplaceAllString(r.Text, ""))
		}
	}
	for port, hooks := range dnat {
		slices.Sort(hooks)
		f["published "+port] = strings.Join(hooks, ", ")
	}
	f["masqueraded"] = strings.Join(snat, ", ")
	f["masqueraded inside"] = strings.Join(other, ", ")
	policy := "accept"
	for _, c := range rs.Chains {
		if c.Hook == "forward" && c.Family == "ip" {
			policy = c.Policy
		}
	}
	f["what is forwarded to others"] = policy
}

// hooks are where a rule takes effect; iptables' chain DOCKER is jumped to.
func hooks(rs *netfilter.Ruleset, r netfilter.Rule) []string {
	if r.Hook != "" {
		return []string{r.Hook}
	}
	var from []string
	for _, j := range rs.Rules {
		if j.Table == r.Table && j.Hook != "" && strings.Contains(j.Text, "-j "+r.Chain) {
			from = append(from, j.Hook)
		}
	}
	return from
}

// serve runs an HTTP server in a container for as long as f runs.
func serve(ns string, f func()) {
	s, err := probe.Serve(context.Background(), netns.Path(ns), ":80", probe.ServeOptions{OnRequest: func(r probe.Request) {
		seen <- r.Client.Addr().String()
	}})
	must(err)
	defer s.Close()
	f()
}

// seen holds the client of a request, as the server sees it.
var seen = make(chan string, 1)

func get(from, to string) string {
	_, err := probe.Get(context.Background(), path(from), "http://"+to+"/", probe.GetOptions{Timeout: 2 * time.Second})
	if err != nil {
		return "no answer"
	}
	return "answered, the server sees " + <-seen
}

func ping(from, to string) string {
	r, err := probe.Ping(context.Background(), path(from), netip.MustParseAddr(to), probe.PingOptions{Count: 3, Interval: 200 * time.Millisecond})
	switch {
	case err != nil:
		return "cannot be sent"
	case r.Received > 0:
		return "answered"
	}
	return "no answer"
}

func (f facts) pings(from string, to ...string) {
	for _, dst := range to {
		f["ping to "+dst+" from "+label(from)] = ping(from, dst)
	}
}

func lookup(ns, name, server string) string {
	found, err := probe.Lookup(context.Background(), netns.Path(ns), name, []netip.Addr{netip.MustParseAddr(server)})
	if err != nil {
		return "no answer"
	}
	return fmt.Sprint(found)
}
