package e2e

import (
	"encoding/json"
	"strings"
	"testing"
)

// oneOfEach are the lines that make one network of every mode but ipvlan; each
// stands alone in its sandbox.
var oneOfEach = map[string]string{
	"none":    "create none lonely",
	"host":    "create host app",
	"veth":    "create veth netns1 --subnet 170.10.0.0/24 --ipv6 fd17::/64",
	"cable":   "create veth cable --between network01 --between network02 --subnet 10.0.1.0/24",
	"bridge":  "create bridge web --containers 2 --publish 8080:80",
	"overlay": "create overlay red --hosts 2 --subnet 10.0.1.0/24 --vni 4097 --port 4789 --gwbridge",
	"learn":   "create overlay red --hosts 3 --subnet 10.0.1.0/24 --vni 4097 --learning multicast",
	"macvlan": "create macvlan lan --subnet 192.168.50.0/24 --submode bridge --shim",
	"parent":  "create macvlan lan --parent up0 --subnet 10.10.0.0/24 --submode private",
}

// TestModes: every mode shows its steps, is made, is proven, and leaves nothing.
func TestModes(t *testing.T) {
	tool(t, "ip", "nft")
	for what, line := range oneOfEach {
		t.Run(what, func(t *testing.T) {
			name := strings.Fields(line)[2]
			r := inSandbox(t, `set -e
				state() { ip -o link; ip -o addr; ip route; ip netns; nft list ruleset; sysctl net.ipv4.ip_forward; ls /run/vethscope/journal 2>/dev/null | grep -v '^lock$' || true; }
				before=$(state)
				vethscope `+line+` --dry-run; [ "$before" = "$(state)" ]
				vethscope `+line+` -o sh | sh -n; [ "$before" = "$(state)" ]
				echo ==; vethscope `+line+` -o json
				echo ==; vethscope prove `+name+` -o json
				echo ==; vethscope prove `+name+`
				vethscope delete `+name+`; [ "$before" = "$(state)" ] || { echo changed; state; }`).must(t)
			parts := strings.Split(r.out, "==\n")
			if len(parts) != 4 || strings.Contains(parts[3], "changed") {
				t.Fatalf("%s", r.out)
			}
			var made struct {
				Mode string `json:"mode"`
				Made struct {
					Proofs []struct {
						Want bool   `json:"want"`
						Why  string `json:"why"`
					} `json:"proofs"`
				} `json:"made"`
			}
			if err := json.Unmarshal([]byte(parts[1]), &made); err != nil || made.Mode != strings.Fields(line)[1] || len(made.Made.Proofs) == 0 {
				t.Errorf("made %s: %v", parts[1], err)
			}
			var outcomes []struct {
				OK      bool `json:"ok"`
				Through bool `json:"through"`
				Want    bool `json:"want"`
			}
			if err := json.Unmarshal([]byte(parts[2]), &outcomes); err != nil || len(outcomes) != len(made.Made.Proofs) {
				t.Errorf("%d outcomes of %d proofs: %v", len(outcomes), len(made.Made.Proofs), err)
			}
			for _, o := range outcomes {
				if !o.OK || o.Through != o.Want {
					t.Errorf("outcome %+v", o)
				}
			}
			if strings.Contains(parts[3], "FAILED") || !strings.Contains(parts[3], "came out as they should") {
				t.Errorf("prove says:\n%s", parts[3])
			}
		})
	}
}

// TestProveTellsOfFailure: what does not come out as it should is a failure, and
// exit status 1.
func TestProveTellsOfFailure(t *testing.T) {
	tool(t, "ip")
	r := inSandbox(t, "vethscope create veth a --subnet 170.10.0.0/24 >/dev/null && ip -n a link set eth0 down && vethscope prove a")
	if r.status != 1 || !strings.Contains(r.out, "FAILED") || !strings.Contains(r.errout, "failed") || !oneLine(r.errout) {
		t.Errorf("status %d\n%s%s", r.status, r.out, r.errout)
	}
}

// TestContainerSharesANamespace: under both names, and falls with the first.
func TestContainerSharesANamespace(t *testing.T) {
	tool(t, "ip")
	r := inSandbox(t, `set -e
		vethscope create bridge web >/dev/null; vethscope create container side --with web-1 >/dev/null
		vethscope ls namespaces; vethscope ping -c 1 -n side 172.18.0.1; vethscope prove side
		vethscope delete web; ip netns`).must(t)
	for _, want := range []string{"web-1, side", "taken back: create container side"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("no %q in\n%s", want, r.out)
		}
	}
	if !strings.HasSuffix(r.out, "taken back: create bridge network web\noutside (id: 0)\n") {
		t.Errorf("more than outside is left:\n%s", r.out)
	}
}

// TestBadModes: one line, status 2, and no change.
func TestBadModes(t *testing.T) {
	lines := []string{
		"create overlay x --hosts 1", "create overlay x --hosts 27", "create overlay x --hosts 0", "create overlay x --vni 0",
		"create overlay x --vni 16777216", "create overlay x --port 0", "create overlay x --port 65536", "create overlay x --subnet 10.0.1.1/24",
		"create overlay x --learning gossip", "create overlay much-too-long --subnet 10.0.1.0/24", "create overlay x --join nothing",
		"create macvlan x --parent nolink --subnet 10.10.0.0/24", "create macvlan x --parent up0", "create macvlan x --submode l2",
		"create macvlan x --submode private --shim", "create macvlan x --containers 0", "create macvlan x --parent lo --subnet 10.10.0.0/24",
		"create ipvlan x --submode bridge", "create ipvlan x --subnet 10.0.1.0/24 --subnet 10.0.2.0/24", "create ipvlan x --router",
		"create container x", "create container x --with nowhere", "create veth x --between a", "create none outside", "create none",
		"create host 1x", "create", "create macvla x", "prove", "prove nothing", "prove nothing -o xml",
	}
	var script strings.Builder
	script.WriteString("before=$(ip -o link; ip netns; nft list ruleset)\n")
	for _, l := range lines {
		script.WriteString("echo '# " + l + "' >&2; vethscope " + l + " >/dev/null; echo \"$?\"\n")
	}
	script.WriteString("[ \"$before\" = \"$(ip -o link; ip netns; nft list ruleset)\" ] || echo changed\n")
	tool(t, "ip", "nft")
	r := inSandbox(t, script.String()).must(t)
	statuses, said := strings.Fields(r.out), strings.Split(r.errout, "# ")[1:]
	if len(statuses) != len(lines) || len(said) != len(lines) {
		t.Fatalf("statuses %v, want %d:\n%s", statuses, len(lines), r.errout)
	}
	for i, l := range lines {
		words, message, _ := strings.Cut(said[i], "\n")
		if words != l || statuses[i] != "2" || strings.TrimSpace(message) == "" || !oneLine(message) {
			t.Errorf("%s: status %s, said %q; want 2 and one line", l, statuses[i], message)
		}
	}
}

// TestKernelLacksIpvlan: status 3 and one line that names the option, or, where
// the kernel has it, a network.
func TestKernelLacksIpvlan(t *testing.T) {
	tool(t, "ip")
	r := inSandbox(t, "before=$(ip -o link; ip netns); vethscope create ipvlan blue; s=$?; [ $s = 0 ] || [ \"$before\" = \"$(ip -o link; ip netns)\" ] || echo changed; exit $s")
	if r.status == 0 {
		return
	}
	const want = "vethscope: create ipvlan blue: kernel lacks CONFIG_IPVLAN (type ipvlan not supported)"
	if r.status != 3 || strings.TrimSpace(r.errout) != want || strings.Contains(r.out, "changed") {
		t.Errorf("status %d, %q%s; want 3 and %q", r.status, r.errout, r.out, want)
	}
}
