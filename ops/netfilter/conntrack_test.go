package netfilter

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"vethscope/ops/netns"
	"vethscope/ops/sandbox/sandboxtest"
)

var conntrackField = regexp.MustCompile(`(src|dst|sport|dport|id|type)=(\S+)`)

// listed is a line of `conntrack -L` in the words of flowText.
func listed(line string) string {
	var tuples [2][]string
	seen := -1
	for _, m := range conntrackField.FindAllStringSubmatch(line, -1) {
		if m[1] == "src" {
			seen++
		}
		if m[1] != "type" {
			tuples[seen] = append(tuples[seen], m[2])
		}
	}
	return fmt.Sprint(strings.Fields(line)[0], tuples[0], tuples[1], strings.Contains(line, "[ASSURED]"))
}

func flowText(f Flow) string {
	part := func(t Tuple) []string {
		out := []string{t.Src.Addr().String(), t.Dst.Addr().String(), fmt.Sprint(t.Src.Port())}
		if !strings.HasPrefix(f.Protocol, "icmp") {
			out = append(out, fmt.Sprint(t.Dst.Port()))
		}
		return out
	}
	return fmt.Sprint(f.Protocol, part(f.Original), part(f.Reply), f.Assured)
}

// settled waits until a dump of ours and one of conntrack(8) before and after
// it agree on what is there, so that no flow changed in between.
func settled(t *testing.T, l *lab) (ours []Flow, theirs []string) {
	t.Helper()
	list := func() []string {
		var out []string
		for _, family := range []string{"ipv4", "ipv6"} {
			for line := range strings.Lines(sandboxtest.Run(t, l.host, "conntrack", "-L", "-f", family)) {
				if !strings.HasPrefix(line, "unknown") { // the bridge's own IGMP, at times
					out = append(out, listed(line))
				}
			}
		}
		slices.Sort(out)
		return out
	}
	for range 50 {
		before := list()
		flows, err := Flows(t.Context(), netns.Path(l.host))
		if err != nil {
			t.Fatal(err)
		}
		if after := list(); slices.Equal(before, after) {
			return flows, after
		}
	}
	t.Fatal("conntrack does not settle")
	return nil, nil
}

func TestFlowsAreWhatConntrackLists(t *testing.T) {
	l := newLab(t, "ct")
	load(t, l.host, nativeLab)
	serve(t, l.container, ":80")
	serve(t, l.outside, ":80")
	visit(t, l.outside, hostAddr+":8080")
	visit(t, l.container, outsideAddr+":80")
	visit(t, l.container, "["+outsideAddr6+"]:80")
	ping(t, l.container, outsideAddr)
	flows, want := settled(t, l)
	var got []string
	for _, f := range flows {
		if f.Protocol != "2" { // IGMP
			got = append(got, flowText(f))
		}
	}
	slices.Sort(got)
	if len(got) < 4 || !slices.Equal(got, want) {
		t.Errorf("ours:\n%s\nconntrack:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	f := flowTo(t, l.host, hostAddr+":8080")
	if !f.DNAT || f.SNAT || !f.ChangesDestination() || f.ChangesSource() || f.Reply.Src.String() != "172.18.0.2:80" {
		t.Errorf("published port: %+v", f)
	}
	f = flowTo(t, l.host, outsideAddr+":80")
	if f.DNAT || !f.SNAT || f.ChangesDestination() || !f.ChangesSource() || f.Reply.Dst.Addr().String() != hostAddr {
		t.Errorf("masqueraded: %+v", f)
	}
}
