package pages

import (
	"slices"

	"vethscope/capture"
	"vethscope/ui/kit"
)

// side is a packet that is looked at, or one of two sightings of it that are
// compared.
type side struct {
	name   string // "before" or "after"; "" when there is nothing to compare with
	rec    *capture.Record
	layers []capture.Layer
	other  map[node]node // the same field, or layer, of the other side
	differ map[node]sign // of what is not the same on the other side
	bytes  []sign        // of rec.Data
}

// sign says how something differs from the other side.
type sign byte

const (
	same sign = iota
	changed
	added // the other side has nothing like it
)

// String is the sign as it is drawn.
func (s sign) String() string { return [...]string{" ", "≠", "+"}[s] }

// sidesOf are the sides of a packet that was seen before and after; one of them
// may be nil.
func sidesOf(before, after *capture.Record) []side {
	var out []side
	for _, s := range []side{{name: "before", rec: before}, {name: "after", rec: after}} {
		if s.rec != nil {
			s.layers = s.rec.Layers()
			out = append(out, s)
		}
	}
	if len(out) == 2 {
		compareSides(&out[0], &out[1])
	}
	return out
}

// oneSide is a packet alone.
func oneSide(rec *capture.Record) []side {
	return []side{{rec: rec, layers: rec.Layers()}}
}

func (s *side) title() string {
	at := "at " + kit.Safe(s.rec.Point.String())
	if s.name == "" {
		return at
	}
	return s.name + ", " + at
}

// compareSides notes in both what differs.
func compareSides(a, b *side) {
	for _, s := range []*side{a, b} {
		s.other, s.differ, s.bytes = map[node]node{}, map[node]sign{}, make([]sign, len(s.rec.Data))
	}
	for _, pair := range align(a.layers, b.layers) {
		switch i, j := pair[0], pair[1]; {
		case j < 0:
			a.alone(i)
		case i < 0:
			b.alone(j)
		default:
			a.other[node{i, -1}], b.other[node{j, -1}] = node{j, -1}, node{i, -1}
			compareFields(a, b, i, j)
			compareBytes(a, b, i, j)
		}
	}
}

// alone notes that the other side has no such layer.
func (s *side) alone(layer int) {
	s.differ[node{layer, -1}] = added
	for f := range s.layers[layer].Fields {
		s.differ[node{layer, f}] = added
	}
	s.mark(s.layers[layer], added)
}

func (s *side) mark(l capture.Layer, as sign) {
	for i := l.Offset; i < min(l.Offset+l.Length, len(s.bytes)); i++ {
		s.bytes[i] = as
	}
}

func compareFields(a, b *side, i, j int) {
	for _, pair := range alignFields(a.layers[i].Fields, b.layers[j].Fields) {
		x, y := node{i, pair[0]}, node{j, pair[1]}
		switch {
		case pair[1] < 0:
			a.differ[x] = added
		case pair[0] < 0:
			b.differ[y] = added
		default:
			a.other[x], b.other[y] = y, x
			if a.layers[i].Fields[pair[0]].Value != b.layers[j].Fields[pair[1]].Value {
				a.differ[x], b.differ[y] = changed, changed
			}
		}
	}
}

func compareBytes(a, b *side, i, j int) {
	x, y := a.layers[i], b.layers[j]
	if x.Length != y.Length {
		a.mark(x, changed)
		b.mark(y, changed)
		return
	}
	for k := range x.Length {
		m, n := x.Offset+k, y.Offset+k
		if m < len(a.bytes) && n < len(b.bytes) && a.rec.Data[m] != b.rec.Data[n] {
			a.bytes[m], b.bytes[n] = changed, changed
		}
	}
}

// align pairs the layers of two sightings, in their order; -1 stands for one
// that the other has not. It begins at the end: what a tunnel adds stands
// before.
func align(a, b []capture.Layer) (pairs [][2]int) {
	// most[i][j] is how many of a[:i] and b[:j] can be paired.
	most := make([][]int, len(a)+1)
	for i := range most {
		most[i] = make([]int, len(b)+1)
		for j := range most[i] {
			switch {
			case i == 0 || j == 0:
			case a[i-1].Name == b[j-1].Name:
				most[i][j] = most[i-1][j-1] + 1
			default:
				most[i][j] = max(most[i-1][j], most[i][j-1])
			}
		}
	}
	for i, j := len(a), len(b); i > 0 || j > 0; {
		switch {
		case i > 0 && j > 0 && a[i-1].Name == b[j-1].Name:
			i, j = i-1, j-1
			pairs = append(pairs, [2]int{i, j})
		case j == 0 || i > 0 && most[i-1][j] >= most[i][j-1]:
			i--
			pairs = append(pairs, [2]int{i, -1})
		default:
			j--
			pairs = append(pairs, [2]int{-1, j})
		}
	}
	slices.Reverse(pairs)
	return pairs
}

// alignFields pairs fields by name, in the order of before; those that only
// after has come last.
func alignFields(before, after []capture.Field) (pairs [][2]int) {
	used := make([]bool, len(after))
	for i, f := range before {
		pair := [2]int{i, -1}
		for j := range after {
			if !used[j] && after[j].Name == f.Name {
				used[j], pair[1] = true, j
				break
			}
		}
		pairs = append(pairs, pair)
	}
	for j := range after {
		if !used[j] {
			pairs = append(pairs, [2]int{-1, j})
		}
	}
	return pairs
}

// layerPairs lays two decodings of one packet side by side, field by field.
func layerPairs(before, after []capture.Layer) []kit.Pair {
	var out []kit.Pair
	for _, pair := range align(before, after) {
		var b, a capture.Layer
		if pair[0] >= 0 {
			b = before[pair[0]]
		}
		if pair[1] >= 0 {
			a = after[pair[1]]
		}
		name := b.Name
		if name == "" {
			name = a.Name
		}
		out = append(out, kit.Pair{Heading: name})
		for _, f := range alignFields(b.Fields, a.Fields) {
			row := kit.Pair{Before: "-", After: "-"}
			if f[0] >= 0 {
				row.Label, row.Before = b.Fields[f[0]].Name, b.Fields[f[0]].Value
			}
			if f[1] >= 0 {
				row.Label, row.After = a.Fields[f[1]].Name, a.Fields[f[1]].Value
			}
			row.Changed = row.Before != row.After || f[0] < 0 || f[1] < 0
			out = append(out, row)
		}
	}
	return out
}
