package e2e

import (
	"strings"
	"testing"
)

// never begins a script that ends where a command fails, and where one that it
// calls with "never" does not: sh -e passes over "! command".
const never = `set -e
		never() { if "$@"; then echo "it must not: $*" >&2; exit 1; fi; }`

// TestSecondNetwork: a running container gets a leg in another network, is known
// there by name, and loses it again; every way of taking it away leaves nothing.
func TestSecondNetwork(t *testing.T) {
	tool(t, "ip", "nft")
	r := inSandbox(t, never+`
		state() { ip -o link | sed 's/^[0-9]*: //; s/@if[0-9]*//; s/ link-netnsid.*//; s/link\/ether [0-9a-f:]*//' | sort; ip netns; nft list ruleset; ls /run; find /run -name '*.jsonl'; ps -eo args | grep '^vethscope dns' || true; }
		state > /tmp/$$.before
		vethscope create bridge web --containers 2 --subnet 172.18.0.0/24 --ipv6 fd18::/64
		vethscope create bridge db --containers 1 --subnet 172.19.0.0/24
		never vethscope ping -c 1 -n web-1 172.19.0.2
		vethscope connect web db-1 --alias store
		ip -n db-1 -br addr; ip -n db-1 route
		echo ==; for name in web-2 db-1 store web-2.web; do vethscope ping -c 10 -n web-1 $name; done
		vethscope ping -c 10 -n db-1 web-1
		vethscope add web --containers 2
		vethscope ping -c 10 -n store web-4 2>/dev/null || vethscope ping -c 1 -n db-1 web-4
		vethscope publish web 9000:80@db-1
		vethscope serve -n db-1 80 & server=$!; sleep 0.5
		vethscope get -n outside http://10.10.0.1:9000/
		vethscope get -n web-1 http://store/
		echo ==; vethscope disconnect web db-1
		ip -n db-1 -br addr
		never vethscope ping -c 1 -n web-1 store 2>/dev/null
		never vethscope get -n outside http://10.10.0.1:9000/ 2>/dev/null
		vethscope connect web db-1
		vethscope delete db
		echo ==; ip -br link show master web
		vethscope delete web
		kill $server; wait $server || true
		state | diff /tmp/$$.before - && rm /tmp/$$.before`).must(t)
	parts := strings.Split(r.out, "==\n")
	if len(parts) != 4 {
		t.Fatalf("%d parts:\n%s", len(parts), r.out)
	}
	for i, want := range map[int][]string{
		0: {"eth0", "172.19.0.2/24", "eth1", "172.18.0.4/24", "fd18::4/64", "default via 172.19.0.1"},
		1: {"answer from 172.18.0.3", "answer from 172.18.0.4", "web-3: eth0 172.18.0.5", "You come from 10.10.0.2", "You reached 172.18.0.4:80"},
		2: {"taken back: publish port 9000/tcp", "taken back: connect db-1", "eth0"},
		3: {"v-web-4", "taken back: add web-3 to web-4"},
	} {
		for _, w := range want {
			if !strings.Contains(parts[i], w) {
				t.Errorf("part %d lacks %q:\n%s", i, w, parts[i])
			}
		}
	}
	if strings.Count(parts[0], "default via") != 1 || strings.Contains(parts[3], "c-web") {
		t.Errorf("a second default route, or a leg without its container:\n%s\n%s", parts[0], parts[3])
	}
}

// TestHairpin: a container reaches its own published port and its neighbour's
// through the host's address, whether or not frames inside a bridge pass the
// host's rules; callers from outside keep their address.
func TestHairpin(t *testing.T) {
	tool(t, "ip", "nft", "sysctl")
	r := inSandbox(t, never+`
		vethscope create bridge web --containers 2 --subnet 172.18.0.0/24 --ipv6 fd18::/64 --publish 8080:80 --publish 8081:80@2
		vethscope serve -n web-1 80 >/dev/null & vethscope serve -n web-2 80 >/dev/null & sleep 0.5
		for nf in 0 1; do
			sysctl -qw net.bridge.bridge-nf-call-iptables=$nf net.bridge.bridge-nf-call-ip6tables=$nf 2>/dev/null || { [ $nf = 0 ] && continue; echo no br_netfilter >&2; break; }
			for url in http://10.10.0.1:8080/ http://10.10.0.1:8081/ http://172.18.0.1:8080/ 'http://[fd10:10::1]:8080/' 'http://[fd10:10::1]:8081/'; do
				vethscope get -n web-1 $url | grep -q 'This is web-'
			done
			vethscope get -n outside http://10.10.0.1:8081/ | grep 'You come from 10.10.0.2'
			vethscope get -n web-1 http://172.18.0.3/ | grep 'You come from 172.18.0.2'
		done`).must(t)
	if !strings.Contains(r.out, "10.10.0.2") {
		t.Errorf("said %s", r.out)
	}
}

// TestIsolation: two networks do not reach each other, but each the other's
// published ports; --no-isolation opens both directions.
func TestIsolation(t *testing.T) {
	tool(t, "ip", "nft")
	inSandbox(t, never+`
		vethscope create bridge web --subnet 172.18.0.0/24 --publish 8080:80
		vethscope create bridge db --subnet 172.19.0.0/24 --publish 5432:80
		vethscope create bridge open --subnet 172.20.0.0/24 --no-isolation
		vethscope serve -n web-1 80 >/dev/null & vethscope serve -n db-1 80 >/dev/null & sleep 0.5
		never vethscope ping -c 1 -n web-1 172.19.0.2
		never vethscope ping -c 1 -n db-1 172.18.0.2
		never vethscope get -n db-1 http://172.18.0.2/ 2>/dev/null
		vethscope get -n db-1 http://10.10.0.1:8080/
		vethscope get -n web-1 http://10.10.0.1:5432/
		vethscope ping -c 10 -n open-1 172.18.0.2
		vethscope ping -c 10 -n web-1 172.20.0.2
		vethscope ping -c 10 -n web-1 10.10.0.2
		vethscope delete db; vethscope create bridge db --subnet 172.19.0.0/24
		never vethscope ping -c 1 -n web-1 172.19.0.2`).must(t)
}

// TestDatagrams: by hand, through a published UDP port, by address and by name.
func TestDatagrams(t *testing.T) {
	r := inSandbox(t, never+`
		vethscope create bridge web --containers 2 --subnet 172.18.0.0/24 --ipv6 fd18::/64 --publish 5353:53/udp@2 >/dev/null
		vethscope serve -n web-2 --udp 53 > /run/heard & server=$!
		until grep -q answering /run/heard; do sleep 0.05; done
		vethscope get -n outside udp://10.10.0.1:5353
		vethscope get -n outside 'udp://[fd10:10::1]:5353'
		vethscope get -n web-1 udp://web-2:53 -o json
		never vethscope get -n web-1 udp://web-2:54
		kill $server; wait $server || true
		grep -c 'sent a datagram' /run/heard`).must(t)
	for _, want := range []string{"This is web-2.\nYou come from 10.10.0.2:", "You come from [fd10:10::2]:", `"remote": "172.18.0.3:53"`} {
		if !strings.Contains(r.out, want) {
			t.Errorf("no %q in\n%s", want, r.out)
		}
	}
	if !oneLine(r.errout) || !strings.Contains(r.errout, "from web-1: udp 172.18.0.3:54: ") || !strings.Contains(r.errout, "refused") {
		t.Errorf("a port that nobody listens on: %q", r.errout)
	}
}

// TestNames: other programs find the names, too; the machine's resolv.conf is as
// it was, and a killed create leaves no server behind.
func TestNames(t *testing.T) {
	tool(t, "ip", "getent", "pgrep")
	r := inSandbox(t, never+`
		cat /etc/resolv.conf > /run/before 2>/dev/null || { echo SKIP; exit 0; }
		vethscope create bridge web --containers 2 --subnet 172.18.0.0/24 --ipv6 fd18::/64
		vethscope exec web-1 -- getent ahostsv4 web-2
		vethscope exec web-1 -- getent hosts 172.18.0.3
		vethscope exec web-1 -- getent ahostsv6 web-1.web
		never vethscope exec web-1 -- getent hosts web-3
		cat /etc/resolv.conf | diff /run/before -; rm /run/before
		vethscope create bridge db --subnet 172.19.0.0/24 >/dev/null
		vethscope connect db web-1 >/dev/null; for name in db-1 web-2; do vethscope exec web-1 -- getent ahostsv4 $name; done
		vethscope delete db >/dev/null
		ls /run; pgrep -fc '^vethscope dns'
		pkill -9 -f '^vethscope dns'
		never vethscope ping -c 1 -n web-1 web-2 2>/dev/null
		vethscope delete web
		vethscope create bridge quiet --no-dns
		never pgrep -f '^vethscope dns'`).must(t)
	if strings.HasPrefix(r.out, "SKIP") {
		t.Skip("no /etc/resolv.conf here")
	}
	for _, want := range []string{"172.18.0.3", "web-2.web", "fd18::2", "172.19.0.2", "netns\nvethscope\n1\n"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("no %q in\n%s", want, r.out)
		}
	}
}

// TestNamesWithoutResolvConf: exec in an exec, and where /etc/resolv.conf leads
// nowhere, finds names all the same; where there is none, it says so.
func TestNamesWithoutResolvConf(t *testing.T) {
	tool(t, "getent", "mount")
	r := inSandbox(t, never+`
		mkdir /run/etc; cp /etc/passwd /etc/nsswitch.conf /etc/hosts /run/etc; mount --bind /run/etc /etc
		vethscope create bridge web --containers 2 --subnet 172.18.0.0/24 >/dev/null
		find() { vethscope exec web-1 -- getent hosts web-2; vethscope exec web-2 -- vethscope exec web-1 -- getent hosts web-2; }
		echo nameserver 192.0.2.1 > /etc/resolv.conf; echo file; find
		rm /etc/resolv.conf; ln -s ../gone/resolv.conf /etc/resolv.conf; echo link; find
		readlink /etc/resolv.conf; ls /run
		rm /etc/resolv.conf; never vethscope exec web-1 -- getent hosts web-2 2>/dev/null
		vethscope exec web-1 -- true`).must(t)
	found := "172.18.0.3      web-2\n"
	if want := "file\n" + found + found + "link\n" + found + found + "../gone/resolv.conf\netc\nnetns\nvethscope\n"; strings.ReplaceAll(r.out, "mount\n", "") != want {
		t.Errorf("said\n%swanted\n%s", r.out, want)
	}
	if !oneLine(r.errout) || !strings.Contains(r.errout, "there is no /etc/resolv.conf") || !strings.Contains(r.errout, "172.18.0.1") {
		t.Errorf("without the file: %q", r.errout)
	}
}

// TestBadNetworks: one line, status 2, nothing changed.
func TestBadNetworks(t *testing.T) {
	r := inSandbox(t, `vethscope create bridge web --subnet 172.18.0.0/24 >/dev/null
		for line in 'connect web nobody' 'connect nothing web-1' 'connect web web-1' 'connect web' 'disconnect web web-1' \
			'add nothing' 'add web --containers 0' 'add web --containers 254' 'ping -n web-1 nobody' 'ping nobody' 'get -n web-1 http://nobody/' \
			'ping -n web-1 -c 0 172.18.0.1' 'ping -n web-1 -s 70000 172.18.0.1' 'ping -n web-1 -t 300 172.18.0.1' 'ping -n web-1 -i -1s 172.18.0.1' \
			'ping -o xml 172.18.0.1' 'get -o xml http://172.18.0.1/' 'get ftp://172.18.0.1/' 'get http://172.18.0.1:99999/' 'get http://[' \
			'get udp://172.18.0.1' 'get udp://172.18.0.1:x' 'get udp://172.18.0.1:70000' 'serve x' 'serve -n web-1 web-1:80' 'serve --udp 70000'; do
			vethscope $line >/dev/null 2>/run/err; echo "$? $(wc -l < /run/err) $line"
		done`).must(t)
	for _, l := range strings.Split(strings.TrimSpace(r.out), "\n") {
		if !strings.HasPrefix(l, "2 1 ") {
			t.Errorf("%s: want status 2 and one line", l)
		}
	}
}
