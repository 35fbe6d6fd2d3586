package docker

// difference is one thing that Docker Engine and vethscope do differently.
type difference struct {
	modes        []string
	what         []string // keys of facts
	docker, ours string
	why          string
}

// differences are all there are, as Docker Engine 20.10 shows them. The README has
// them as a table.
var differences = []difference{
	{
		modes: []string{"bridge", "none", "container", "macvlan"}, what: []string{"alone's IPv6"},
		docker: "", ours: "lo ::1/128", why: ipv6Why,
	},
	{
		modes:  []string{"bridge", "container", "macvlan"},
		what:   []string{"web-1's IPv6", "web-2's IPv6", "beside's IPv6", "lan-1's IPv6", "lan-2's IPv6"},
		docker: "", ours: "eth0 link-local, lo ::1/128", why: ipv6Why,
	},
	{
		modes: []string{"overlay"}, what: []string{"ov-a1's IPv6", "ov-b1's IPv6"},
		docker: "", ours: "eth0 link-local, eth1 link-local, lo ::1/128", why: ipv6Why,
	},
	{
		modes: []string{"bridge", "container", "overlay"},
		what: []string{
			"web-1's eth0 has a MAC made of its address", "web-2's eth0 has a MAC made of its address",
			"beside's eth0 has a MAC made of its address",
			"ov-a1's eth1 has a MAC made of its address", "ov-b1's eth1 has a MAC made of its address",
		},
		docker: "true", ours: "false",
		why: "On a bridge the kernel's random MAC does; where MACs are told to others beforehand, on macvlan and overlay, both make them of the address.",
	},
	{
		modes: []string{"bridge"}, what: []string{"request to 127.0.0.1:8080 from the host"},
		docker: "answered, the server sees 172.18.0.1", ours: "no answer",
		why: "Docker's userland proxy listens on the host, also on 127.0.0.1, and calls the container itself. vethscope has rules only, and the kernel routes nothing from 127.0.0.0/8 to another link.",
	},
	{
		modes: []string{"bridge"}, what: []string{"masqueraded inside"},
		docker: "-A POSTROUTING -s 172.18.0.2/32 -d 172.18.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE",
		ours:   `ip saddr 172.18.0.0/24 oifname "web" ct status dnat masquerade`,
		why:    "A container that calls a published port of its own network: in Docker the proxy calls in its place, and the rule is for without; in vethscope one rule for the network does.",
	},
	{
		modes: []string{"bridge", "overlay"}, what: []string{"what is forwarded to others"},
		docker: "drop", ours: "accept",
		why: "Docker sets the policy of FORWARD to DROP for the whole host and lets its own networks through. vethscope changes no foreign chain: in its own table it drops what comes from its other networks.",
	},
	{
		modes: []string{"overlay"}, what: []string{"the vxlan"},
		docker: "vxlan mtu 1450 up id 4097 port 4789 learning true proxy true l2miss true l3miss true promiscuous",
		ours:   "vxlan mtu 1450 up id 4097 port 4789 learning false proxy true promiscuous",
		why:    "Docker's agents tell each other where containers are and answer what the kernel misses. vethscope makes all entries beforehand: nothing is to be learned or missed.",
	},
	{
		modes: []string{"overlay"}, what: []string{"the second legs' subnet"},
		docker: "172.17.0.0/16", ours: "172.18.0.0/24",
		why: "Each takes the first of its own pool that is free.",
	},
}

const ipv6Why = "Docker switches IPv6 off in containers whose networks have no IPv6 subnet; vethscope leaves the kernel's default, a link-local address."
