package steps

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vethscope/ops"
	"vethscope/ops/sandbox/sandboxtest"
)

// kinds is a host of an overlay as a namespace, with one link of each kind: c1 has
// an underlay u0, a bridge with a vxlan and a veth as ports, a macvlan on u0, and
// a vxlan that was moved to c2 and still lies on u0.
const kinds = `
	ip -n c1 link add u0 type veth peer name u1 netns c2; ip -n c1 link set u0 up; ip -n c2 link set u1 up
	ip -n c1 addr add 192.0.2.1/24 dev u0
	ip -n c1 link add sw0 type bridge; ip -n c1 link set sw0 up
	ip -n c1 link add vx type vxlan id 7 local 192.0.2.1 dev u0 dstport 4789 nolearning proxy
	ip -n c1 link set vx master sw0; ip -n c1 link set vx up
	bridge -n c1 fdb append 00:00:00:00:00:00 dev vx dst 192.0.2.2; bridge -n c1 fdb append 00:00:00:00:00:00 dev vx dst 192.0.2.3
	bridge -n c1 fdb add 02:00:00:00:00:42 dev vx dst 192.0.2.3
	ip -n c1 link add p0 type veth peer name p1; ip -n c1 link set p0 master sw0
	ip -n c1 link add link u0 name mv type macvlan mode private
	ip -n c1 link add away type vxlan id 8 local 192.0.2.1 dev u0 dstport 4789; ip -n c1 link set away netns c2
	ip -n c2 link set away mtu 1300; bridge -n c2 fdb append 02:00:00:00:00:43 dev away dst 192.0.2.9`

// TestDeleteKinds: links of every kind come back as they were.
func TestDeleteKinds(t *testing.T) {
	for name, s := range map[string]ops.Step{
		"vxlan":           &LinkDelete{NS: "c1", Link: "vx"},
		"vxlan elsewhere": &LinkDelete{NS: "c2", Link: "away"},
		"macvlan":         &LinkDelete{NS: "c1", Link: "mv"},
		"bridge":          &LinkDelete{NS: "c1", Link: "sw0"},
		"veth":            &LinkDelete{NS: "c1", Link: "p1"},
		"move vxlan":      &LinkMove{NS: "c1", Link: "vx", To: "c2"},
		"move macvlan":    &LinkMove{NS: "c1", Link: "mv"},
		"release vxlan":   &LinkRelease{NS: "c1", Link: "vx"},
		"whole namespace": &NetnsDelete{Name: "c1"},
	} {
		t.Run(name, func(t *testing.T) {
			sandboxtest.NS(t, "c1")
			sandboxtest.NS(t, "c2")
			sh(t, kinds)
			if name == "whole namespace" { // with what lies on it from elsewhere it is refused
				refused(t, s, s.Check(t.Context()), "u0", "carries away in c2")
				sh(t, "ip -n c2 link delete away")
			}
			before := kindState(t)
			if err := s.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := s.Do(t.Context()); err != nil {
					t.Fatal(err)
				}
				if cmp.Equal(before, kindState(t)) {
					t.Fatal("it changed nothing")
				}
				for range 2 {
					if err := reread(t, s).Undo(t.Context()); err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(before, kindState(t)); diff != "" {
						t.Fatalf("not as before (-before +after):\n%s", diff)
					}
				}
			}
		})
	}
}

// carriers are what the kernel notices in its own time.
var carriers = regexp.MustCompile(`state \S+ |NO-CARRIER,|,LOWER_UP|LOWERLAYERDOWN|M-DOWN|[a-z_]+_timer +[0-9.]+|state (disabled|forwarding|learning|listening) |link-netnsid \d+|link-netns \S+|qdisc \S+|linkdown| qlen \d+`)

func kindState(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	for _, ns := range []string{"c1", "c2"} {
		for _, c := range []string{"ip -d -o link | sort", "ip -4 -o addr", "ip -4 route show table all", "bridge -d -o link | sort", "bridge fdb | grep -E 'dst|static' | sort || true"} {
			text := "-"
			if _, err := sandboxtest.Try(t, "", "test", "-e", "/run/netns/"+ns); err == nil {
				text = sandboxtest.Run(t, ns, "sh", "-c", c)
			}
			out.WriteString("# " + ns + ": " + c + "\n" + carriers.ReplaceAllString(text, "") + "\n")
		}
	}
	return out.String()
}
