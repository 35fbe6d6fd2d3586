package capture

import (
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// errNotDNS says that the payload is shorter than the header of a message.
var errNotDNS = errors.New("DNS message too short")

// readDNS unpacks a message as far as it goes; the error says where it broke.
func readDNS(b []byte) (*dns.Msg, error) {
	m := new(dns.Msg)
	if len(b) < 12 {
		return m, errNotDNS
	}
	err := guarded(func() error { return m.Unpack(b) })
	if err != nil {
		err = fmt.Errorf("DNS: %w", err)
	}
	return m, err
}

// dnsInfo is the info line of a DNS message; with multicast that of mDNS (RFC
// 6762), whose questions may ask for an answer to one.
func dnsInfo(b []byte, multicast bool) (string, error) {
	m, err := readDNS(b)
	if errors.Is(err, errNotDNS) {
		return "", err
	}
	var s strings.Builder
	s.WriteString(dnsOperation(m))
	fmt.Fprintf(&s, " 0x%04x", m.Id)
	if m.Response && m.Rcode != dns.RcodeSuccess {
		s.WriteString(" " + dnsStatus(m.Rcode))
	}
	for _, q := range m.Question {
		class := q.Qclass
		if multicast {
			class &= 0x7fff
		}
		fmt.Fprintf(&s, " %s %s", dnsType(q.Qtype), dnsName(q.Name))
		if multicast && class != q.Qclass {
			s.WriteString(`, "QU" question`)
		} else if multicast {
			s.WriteString(`, "QM" question`)
		}
	}
	for _, part := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range part {
			s.WriteString(" " + dnsType(rr.Header().Rrtype))
			if v := dnsValue(rr); v != "" {
				s.WriteString(" " + v)
			}
		}
	}
	return s.String(), err
}

func dnsOperation(m *dns.Msg) string {
	text := map[int]string{dns.OpcodeQuery: "Standard query", dns.OpcodeIQuery: "Inverse query",
		dns.OpcodeStatus: "Server status request", dns.OpcodeNotify: "Zone change notification", dns.OpcodeUpdate: "Dynamic update"}[m.Opcode]
	if text == "" {
		text = fmt.Sprintf("Unknown operation (%d)", m.Opcode)
	}
	if m.Response {
		text += " response"
	}
	return text
}

// dnsStatus spells a response code as Wireshark does.
func dnsStatus(code int) string {
	switch code {
	case dns.RcodeFormatError:
		return "Format error"
	case dns.RcodeServerFailure:
		return "Server failure"
	case dns.RcodeNameError:
		return "No such name"
	case dns.RcodeNotImplemented:
		return "Not implemented"
	case dns.RcodeRefused:
		return "Refused"
	}
	if text := dns.RcodeToString[code]; text != "" {
		return text
	}
	return fmt.Sprintf("status %d", code)
}

func dnsType(t uint16) string {
	if text := dns.TypeToString[t]; text != "" {
		return text
	}
	return fmt.Sprintf("Unknown (%d)", t)
}

// dnsName is a name without the dot of the root at its end.
func dnsName(n string) string {
	if n == "." {
		return "<Root>"
	}
	return strings.TrimSuffix(n, ".")
}

// dnsValue is what the info column says of a record, "" where that is its
// type alone.
func dnsValue(rr dns.RR) string {
	switch rr := rr.(type) {
	case *dns.A:
		return rr.A.String()
	case *dns.AAAA:
		return rr.AAAA.String()
	case *dns.CNAME:
		return dnsName(rr.Target)
	case *dns.NS:
		return dnsName(rr.Ns)
	case *dns.PTR:
		return dnsName(rr.Ptr)
	case *dns.SOA:
		return dnsName(rr.Ns)
	case *dns.MX:
		return fmt.Sprintf("%d %s", rr.Preference, dnsName(rr.Mx))
	case *dns.SRV:
		return fmt.Sprintf("%d %d %d %s", rr.Priority, rr.Weight, rr.Port, dnsName(rr.Target))
	}
	return ""
}

// dnsLayer is the message with one field for each question and record.
func dnsLayer(b []byte) Layer {
	m, err := readDNS(b)
	l := layer("DNS", "id", hex16(m.Id), "operation", dnsOperation(m), "status", dns.RcodeToString[m.Rcode], "flags", dnsFlags(m))
	add := func(name string, value string) {
		if len(l.Fields) < shownHeaders {
			l.Fields = append(l.Fields, Field{Name: name, Value: clean(value)})
		}
	}
	for _, q := range m.Question {
		add("question", dnsName(q.Name)+" "+dnsType(q.Qtype))
	}
	for _, part := range []struct {
		name    string
		records []dns.RR
	}{{"answer", m.Answer}, {"authority", m.Ns}, {"additional", m.Extra}} {
		for _, rr := range part.records {
			add(part.name, strings.Join(strings.Fields(rr.String()), " "))
		}
	}
	if err != nil {
		add("malformed", err.Error())
	}
	return l
}

func dnsFlags(m *dns.Msg) string {
	var on []string
	for _, f := range []struct {
		set  bool
		name string
	}{{m.Authoritative, "AA"}, {m.Truncated, "TC"}, {m.RecursionDesired, "RD"}, {m.RecursionAvailable, "RA"},
		{m.AuthenticatedData, "AD"}, {m.CheckingDisabled, "CD"}} {
		if f.set {
			on = append(on, f.name)
		}
	}
	return strings.Join(on, ", ")
}
