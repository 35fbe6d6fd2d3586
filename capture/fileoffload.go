package capture

import (
	"encoding/binary"

	"github.com/google/gopacket/layers"
)

// leftToHardware says that the transport checksum was not filled in when the
// packet was captured. A file does not tell, but the field shows it: it holds
// the sum of the pseudo header alone, from which hardware would go on
// (CHECKSUM_PARTIAL in linux/skbuff.h). One right checksum in 65,536 is that, too.
func leftToHardware(rec *Record) bool {
	s := &rec.Summary
	if rec.header == 0 || s.Checksum == 0 {
		return false
	}
	protocol := layers.IPProtocolTCP
	if s.Protocol == "udp" {
		protocol = layers.IPProtocolUDP
	}
	length := rec.header + s.Payload
	sum := uint32(protocol) + uint32(length>>16) + uint32(length&0xffff)
	for _, a := range [][]byte{s.Src.Addr().AsSlice(), s.Dst.Addr().AsSlice()} {
		for ; len(a) > 1; a = a[2:] {
			sum += uint32(binary.BigEndian.Uint16(a))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum) == s.Checksum
}
