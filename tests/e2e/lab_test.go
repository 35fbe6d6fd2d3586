package e2e

import (
	"strings"
	"testing"
)

// TestLabFile: a lab is made as a whole, found again by its name, and taken back;
// its script makes the same; what was exported is the same lab.
func TestLabFile(t *testing.T) {
	tool(t, "ip", "nft")
	r := inSandbox(t, never+`
		cd /run; cp /dev/stdin shop.yaml <<-E
			lab: shop
			networks:
			  - {mode: bridge, name: web, containers: 2, subnet: 172.18.0.0/24, publish: ["8080:80", "5353:53/udp@2"]}
			  - {mode: bridge, name: db, containers: 1, subnet: 172.19.0.0/24}
			  - {mode: connect, network: web, container: db-1, aliases: [store]}
			  - {mode: publish, network: web, publish: "9000:80@db-1"}
			proofs:
			  - {kind: get, from: outside, target: "http://10.10.0.1:9000/", serve: "db-1:80", want: true, why: it is published}
			  - {kind: udp, from: outside, target: "10.10.0.1:5353", serve: "web-2:53/udp", want: true, why: datagrams get in}
		E
		state() { ip -o link | sed 's/^[0-9]*: //; s/@if[0-9]*//; s/ link-netnsid.*//; s/link\/ether [0-9a-f:]*//' | sort; ip netns | sed 's/ .*//' | sort; nft -s list ruleset; find /run -name '*.jsonl'; }
		state > before
		vethscope apply shop.yaml --dry-run; vethscope apply shop.yaml --dry-run -o json > /dev/null
		vethscope apply shop.yaml -o sh > shop.sh
		state | diff before -
		vethscope apply shop.yaml --prove
		vethscope ping -c 10 -n web-1 store
		vethscope prove -f shop.yaml -o json > /dev/null
		vethscope create bridge other --subnet 172.20.0.0/24 --no-dns
		state | grep -v jsonl > made
		vethscope export --name again > again.yaml
		never vethscope apply shop.yaml 2> said; grep 'lab shop is there already: .vethscope delete -f shop.yaml. takes it back' said
		vethscope delete -f shop.yaml
		vethscope ls links | grep other
		vethscope delete other
		state | diff before -
		vethscope apply - < again.yaml >/dev/null
		state | grep -v jsonl | diff made -
		vethscope delete -f again.yaml > /dev/null
		state | diff before -
		sh -e shop.sh; vethscope ping -c 10 -n web-1 172.18.0.4
		echo ==; vethscope apply --list; vethscope apply bridge-nat --show | grep 'lab: bridge-nat'`).must(t)
	for _, want := range []string{"nothing was changed", "it is published", "came out as they should", "connect db-1 to network web", "two-networks"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("no %q in\n%s", want, r.out)
		}
	}
}

// TestLabAllOrNothing: a lab that does not fit changes nothing, and one that fails
// half-way, which only the kernel could know, is taken back.
func TestLabAllOrNothing(t *testing.T) {
	tool(t, "ip", "nft")
	inSandbox(t, never+`
		cd /run
		state() { ip -o link | sed 's/^[0-9]*: //' | sort; ip netns | sed 's/ .*//' | sort; nft -s list ruleset; find /run -name '*.jsonl'; sysctl net.ipv4.ip_forward; }
		state > before
		cat > bad.yaml <<-E
			lab: bad
			networks:
			  - {mode: bridge, name: web, containers: 1, subnet: 172.18.0.0/24}
			  - mode: bridge
			    name: db
			    containers: 1
			    subnet: 172.18.0.128/25
		E
		status=0; vethscope apply bad.yaml 2> said || status=$?
		[ $status = 2 ]; grep '^vethscope: bad.yaml:7: networks\[1\].subnet: 172.18.0.128/25 overlaps 172.18.0.0/24, which web uses$' said
		state | diff before -
		# Something else has port 53 there: no plan can know.
		ip addr add 172.19.0.1/32 dev lo; ip netns add taken
		state > before
		vethscope serve 172.19.0.1:53 >/dev/null & server=$!; sleep 0.5
		ip addr del 172.19.0.1/32 dev lo; state > before
		sed -i 's/172.18.0.128.25/172.19.0.0\/24/' bad.yaml
		status=0; vethscope apply bad.yaml 2> said || status=$?
		[ $status = 1 ]; grep 'address already in use' said; [ $(wc -l < said) = 1 ]
		state | diff before -
		kill $server; wait $server || true`).must(t)
}
