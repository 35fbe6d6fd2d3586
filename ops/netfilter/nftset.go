package netfilter

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// elements writes the contents of a set that has no name, as nft(8) does
// inside a rule. hint is the type of what is looked up, for keys whose own
// type says nothing.
func (x *nftText) elements(s *set, hint datatype) string {
	types := concatTypes(s.keyType)
	if len(types) == 0 || len(types) == 1 && (types[0] == typeRaw || types[0] == typeHost) {
		types = []datatype{hint}
	}
	var out []string
	if s.isTree() && len(types) == 1 {
		out = x.intervals(s, types[0])
	} else {
		for _, e := range s.elems {
			key := "*"
			if e.flags&elemCatchall == 0 && len(e.key) > 0 {
				key = x.concatValue(types, e.key, e.keyEnd)
			}
			out = append(out, key+x.elementData(s, e))
		}
	}
	return "{ " + strings.Join(out, ", ") + " }"
}

// isTree says that the set stores an interval as two elements, its first key
// and, marked as an end, the one after its last.
func (s *set) isTree() bool { return s.flags&setInterval != 0 && s.flags&setConcat == 0 }

// sort puts the elements of a tree in order, those that end an interval before
// those that start one, and the others in the order in which nft lists a hash:
// that of the numbers, whichever way round they are stored.
func (s *set) sort() {
	compare := bytes.Compare
	if types := concatTypes(s.keyType); !s.isTree() && len(types) == 1 {
		switch types[0] {
		case typeHost, typeMark, typeCTState, typeCTStatus, typeFibType, typeIfindex:
			compare = func(a, b []byte) int { return cmp.Compare(hostEndian(a), hostEndian(b)) }
		}
	}
	slices.SortStableFunc(s.elems, func(a, b element) int {
		return cmp.Or(compare(a.key, b.key), int(b.flags&elemIntervalEnd)-int(a.flags&elemIntervalEnd))
	})
}

func (x *nftText) intervals(s *set, t datatype) []string {
	var out []string
	for i, e := range s.elems {
		switch {
		case e.flags&elemCatchall != 0:
			out = append(out, "*"+x.elementData(s, e))
			continue
		case e.flags&elemIntervalEnd != 0 || len(e.key) == 0:
			continue
		}
		last := bytes.Repeat([]byte{0xff}, len(e.key))
		if i+1 < len(s.elems) {
			last = before(s.elems[i+1].key)
		}
		out = append(out, formatRange(t, e.key, last, x.table.links)+x.elementData(s, e))
	}
	return out
}

// before is the key one less than b.
func before(b []byte) []byte {
	out := bytes.Clone(b)
	for i := len(out) - 1; i >= 0; i-- {
		out[i]--
		if out[i] != 0xff {
			break
		}
	}
	return out
}

func (x *nftText) elementData(s *set, e element) string {
	switch {
	case e.verdict != nil:
		return " : " + e.verdict.String()
	case len(e.data) > 0:
		return " : " + x.concatValue(concatTypes(s.dataType), e.data, nil)
	}
	return ""
}

// concatValue writes a key, or a range of keys, of one or more fields. Each
// field starts at a multiple of four bytes.
func (x *nftText) concatValue(types []datatype, first, last []byte) string {
	if len(last) != len(first) {
		last = first
	}
	if len(types) == 0 {
		return x.value(typeRaw, first)
	}
	if len(types) == 1 {
		return formatRange(types[0], first, last, x.table.links)
	}
	var out []string
	off := 0
	for _, t := range types {
		size := typeSize(t)
		if size == 0 || off+size > len(first) {
			return x.value(typeRaw, first)
		}
		out = append(out, formatRange(t, first[off:off+size], last[off:off+size], x.table.links))
		off += slots(size) * 4
	}
	return strings.Join(out, " . ")
}
