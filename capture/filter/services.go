package filter

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// service is a port's number by protocol.
type service map[uint32]uint32

// common is what is used where there is no /etc/services.
const common = `
ftp 21/tcp
ssh 22/tcp
telnet 23/tcp
smtp 25/tcp
domain 53/tcp
domain 53/udp
bootps 67/udp
bootpc 68/udp
tftp 69/udp
http 80/tcp
ntp 123/udp
snmp 161/tcp
snmp 161/udp
bgp 179/tcp
https 443/tcp
https 443/udp
syslog 514/udp
`

// services reads services(5), once.
var services = sync.OnceValue(func() map[string]service {
	data, err := os.ReadFile("/etc/services")
	if err != nil {
		data = []byte(common)
	}
	return readServices(string(data))
})

func readServices(data string) map[string]service {
	m := map[string]service{}
	protos := map[string]uint32{"tcp": protoTCP, "udp": protoUDP, "sctp": protoSCTP}
	for line := range strings.Lines(data) {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		number, name, _ := strings.Cut(f[1], "/")
		n, err := strconv.ParseUint(number, 10, 16)
		proto, ok := protos[name]
		if err != nil || !ok {
			continue
		}
		for _, s := range append([]string{f[0]}, f[2:]...) {
			if m[s] == nil {
				m[s] = service{}
			}
			if _, ok := m[s][proto]; !ok {
				m[s][proto] = uint32(n)
			}
		}
	}
	return m
}

// portNumber looks up a port, and which of the protocols have it.
func portNumber(at token, name string, protos []uint32) (uint32, []uint32) {
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		if n > 65535 {
			bail(at, "ports end at 65535")
		}
		return uint32(n), protos
	}
	s := services()[name]
	tcp, isTCP := s[protoTCP]
	udp, isUDP := s[protoUDP]
	var number uint32
	var have []uint32
	switch {
	case isTCP && isUDP && tcp == udp:
		return tcp, protos
	case isTCP && isUDP:
		bail(at, "is port %d of tcp and %d of udp; give the number", tcp, udp)
	case isTCP:
		number, have = tcp, []uint32{protoTCP}
	case isUDP:
		number, have = udp, []uint32{protoUDP}
	default:
		bail(at, "not a service that /etc/services names; give the number")
	}
	if !slices.Contains(protos, have[0]) {
		bail(at, "a service of another protocol; give the number")
	}
	return number, have
}
