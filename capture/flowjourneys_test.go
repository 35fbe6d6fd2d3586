package capture

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// held are packets as a Store holds them.
type held struct {
	first   uint64
	records []*Record // the first one has serial 1
	points  []Point
}

func (h *held) add(records ...*Record) {
	for _, r := range records {
		r.Serial = uint64(len(h.records) + 1)
		h.records = append(h.records, r)
		if !slices.Contains(h.points, r.Point) {
			h.points = append(h.points, r.Point)
		}
	}
}

func (h *held) Span() (first, end uint64) { return max(h.first, 1), uint64(len(h.records)) + 1 }
func (h *held) Points() []Point           { return h.points }

func (h *held) Record(serial uint64) (*Record, bool) {
	if first, end := h.Span(); serial < first || serial >= end {
		return nil, false
	}
	return h.records[serial-1], true
}

func (h *held) View(serial uint64, dst []Brief) int {
	n := 0
	for serial = max(serial, h.first, 1); n < len(dst) && int(serial) <= len(h.records); n++ {
		r := h.records[serial-1]
		dst[n] = r.Brief(uint16(slices.Index(h.points, r.Point)))
		serial++
	}
	return n
}

// lookAll is what a look finds that may take as long as it likes.
func (f *FlowJourneys) lookAll(t *testing.T) FlowPart {
	t.Helper()
	out := f.Look(Look{Now: time.Now(), May: time.Minute, Most: 1000})
	if out.More {
		t.Error("there is more after a minute")
	}
	return out
}

// chatter is a flow that is rewritten twice, and one that has nothing to do with
// it.
func chatter(t *testing.T) (h *held, first, second Translation) {
	h = &held{}
	router, far := Point{NS: "router", Link: "wan"}, Point{NS: "far", Link: "eth0"}
	say := func(us int, at Point, src string, ttl uint8, id uint16) *Record {
		return see(t, us, at, pkt{proto: "udp", src: src, dst: "9.9.9.9:53", ttl: ttl, ipID: id, payload: "question"})
	}
	for i := range 3 {
		us, id := i*1000, uint16(i+1)
		h.add(say(us, container, "172.18.0.2:7", 64, id), say(us+5, uplink, "10.10.0.1:7", 63, id),
			say(us+7, container, "172.18.0.3:7", 64, id+100), say(us+8, uplink, "10.10.0.1:8", 63, id+100),
			say(us+10, router, "1.1.1.1:99", 62, id), say(us+20, far, "1.1.1.1:99", 62, id))
	}
	inner, outer := &RuleRef{Chain: "inner"}, &RuleRef{Chain: "outer"}
	first = Translation{NS: "host", ID: 1, SNAT: inner, Original: tuple("udp", "172.18.0.2:7", "9.9.9.9:53"), Reply: tuple("udp", "9.9.9.9:53", "10.10.0.1:7")}
	second = Translation{NS: "router", ID: 2, SNAT: outer, Original: tuple("udp", "10.10.0.1:7", "9.9.9.9:53"), Reply: tuple("udp", "9.9.9.9:53", "1.1.1.1:99")}
	return h, first, second
}

const chatterTrip = "original c1:eth0 host:up0[src,ttl,ip_checksum,checksum inner] router:wan[src,ttl,ip_checksum,checksum outer] far:eth0[]"

func TestFlowJourneys(t *testing.T) {
	h, first, second := chatter(t)
	want := []string{chatterTrip, chatterTrip, chatterTrip}
	// Wherever the packet was seen that one asks about, and whatever conntrack told first.
	for at := range h.records[:2] {
		for _, told := range [][]Translation{{first, second}, {second, first}} {
			var nat Translations
			for _, tr := range told {
				nat.Add(tr)
			}
			f, ok := NewFlowJourneys(h, &nat, 1, h.records[at].Brief(0))
			got := f.lookAll(t)
			if !ok || !slices.Equal(trips(got.Journeys), want) || got.Waiting || got.Missed != 0 || got.Next != uint64(len(h.records)+1) {
				t.Errorf("asked about packet %d: %+v, got\n%s", at, got, strings.Join(trips(got.Journeys), "\n"))
			}
		}
	}
}

func TestFlowJourneysBeginAnew(t *testing.T) {
	h, first, second := chatter(t)
	var nat Translations
	nat.Add(second)
	f, _ := NewFlowJourneys(h, &nat, 1, h.records[0].Brief(0))
	if got := f.lookAll(t); got.Again || len(got.Journeys) != 3 || got.Journeys[0].Matched {
		t.Errorf("before it is known what becomes of the flow: %+v", got)
	}
	nat.Add(first)
	if got := f.lookAll(t); !got.Again || !slices.Equal(trips(got.Journeys), []string{chatterTrip, chatterTrip, chatterTrip}) {
		t.Errorf("behind: %v %q", got.Again, trips(got.Journeys))
	}
	nat.Add(first) // a rule may be found later
	h.add(see(t, 5000, Point{NS: "late", Link: "x"}, pkt{proto: "udp", src: "1.1.1.1:99", dst: "9.9.9.9:53", ipID: 77, payload: "question"}))
	if got := f.lookAll(t); got.Again || len(got.Journeys) != 1 || got.Journeys[0].Hops[0].Point != "late:x" || got.Journeys[0].Matched {
		t.Errorf("and then: %+v", got)
	}
	if got := f.lookAll(t); len(got.Journeys) != 0 {
		t.Errorf("the same once more: %+v", got)
	}
}

func TestFlowJourneysOfAFile(t *testing.T) {
	h, _, _ := chatter(t)
	f, _ := NewFlowJourneys(h, nil, 1, h.records[5].Brief(3))
	var all []*Journey
	for range 3 {
		got := f.lookAll(t)
		if got.Again {
			all = nil
		}
		all = append(all, got.Journeys...)
	}
	want := strings.NewReplacer(" inner", "", " outer", "").Replace(chatterTrip)
	if got := trips(all); !slices.Equal(got, []string{want, want, want}) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

// TestFlowJourneysOfParts: whichever part of a fragmented packet is asked about.
func TestFlowJourneysOfParts(t *testing.T) {
	cut := func(us int, at Point, src string, ttl uint8) (first, last *Record) {
		whole := build(t, pkt{proto: "udp", src: src, dst: "9.9.9.9:53", ttl: ttl, ipID: 77, payload: strings.Repeat("x", 56)})
		part := func(flags uint16, body []byte) *Record {
			data := append(slices.Clone(whole[:34]), body...)
			binary.BigEndian.PutUint16(data[16:], uint16(20+len(body)))
			binary.BigEndian.PutUint16(data[20:], flags)
			us++
			return recordOf(data, at, us)
		}
		return part(0x2000, whole[34:34+32]), part(4, whole[34+32:])
	}
	h := &held{}
	a, b := cut(0, container, "172.18.0.2:7", 64)
	c, d := cut(10, uplink, "10.10.0.1:7", 63)
	h.add(a, b, c, d)
	_, first, _ := chatter(t)
	var nat Translations
	nat.Add(first)
	for _, rec := range h.records {
		f, ok := NewFlowJourneys(h, &nat, 1, rec.Brief(0))
		if got := f.lookAll(t); !ok || len(got.Journeys) != 2 || !got.Journeys[0].Matched || !got.Journeys[1].Matched {
			t.Errorf("asked about part %d: %q", rec.Serial, trips(got.Journeys))
		}
	}
}

func TestFlowJourneysMiss(t *testing.T) {
	h, first, second := chatter(t)
	var nat Translations
	nat.Add(first)
	nat.Add(second)
	h.first = 7
	f, _ := NewFlowJourneys(h, &nat, 1, h.records[0].Brief(0))
	if got := f.lookAll(t); got.Missed != 6 || len(got.Journeys) != 2 {
		t.Errorf("%+v", got)
	}
	arp := &Record{Point: uplink, Data: make([]byte, 60), Length: 60}
	if _, ok := NewFlowJourneys(h, &nat, 1, arp.Brief(0)); ok {
		t.Error("a packet of no flow has one")
	}
}

// TestFlowJourneysInParts: no more than are asked for, the first ones or the last.
func TestFlowJourneysInParts(t *testing.T) {
	h, first, second := chatter(t)
	var nat Translations
	nat.Add(first)
	nat.Add(second)
	f, _ := NewFlowJourneys(h, &nat, 1, h.records[0].Brief(0))
	got := f.Look(Look{Now: time.Now(), May: time.Minute, Most: 2, Latest: true})
	if len(got.Journeys) != 2 || got.Skipped != 1 || got.More || !got.Journeys[0].Time.Equal(h.records[6].Time) {
		t.Errorf("the last two: %+v", got)
	}
	h = &held{}
	for i := range 50 {
		h.add(see(t, i*1e6, container, pkt{proto: "udp", src: "172.18.0.2:7", dst: "9.9.9.9:53", ipID: uint16(i + 1)}))
	}
	f, _ = NewFlowJourneys(h, &nat, 1, h.records[0].Brief(0))
	told := 0
	for more := true; more; {
		got := f.Look(Look{Now: time.Now(), May: time.Minute, Most: 7})
		if more = got.More; len(got.Journeys) > 7 || got.Skipped != 0 {
			t.Errorf("%d journeys, %d skipped", len(got.Journeys), got.Skipped)
		}
		told += len(got.Journeys)
	}
	if told != 50 {
		t.Errorf("%d journeys, want 50", told)
	}
}

func TestTranslationsAreBounded(t *testing.T) {
	var nat Translations
	for i := range maxTranslations + 10 {
		nat.Add(Translation{ID: uint32(i)})
	}
	all, next := nat.Since(5)
	if len(all) != maxTranslations || next != maxTranslations+10 || all[0].ID != 10 || all[len(all)-1].ID != maxTranslations+9 {
		t.Errorf("%d, the first %d, then %d", len(all), all[0].ID, next)
	}
	if all, _ := nat.Since(next - 2); len(all) != 2 || all[1].ID != maxTranslations+9 {
		t.Errorf("the last two: %v", all)
	}
}

// A point that is opened again has a number of its own.
func TestJourneysPastAPointOpenedAgain(t *testing.T) {
	j := NewJourneys(nil, uplink, container, uplink, veth)
	b := see(t, 0, veth, requestOutside(1)).Brief(3)
	j.See(&b)
	if got := j.Flush(); len(got) != 1 || got[0].Hops[0].Point != veth.String() {
		t.Errorf("%q", trips(got))
	}
}

// TestFlowJourneysThroughNAT asks a real store about one of many flows.
func TestFlowJourneysThroughNAT(t *testing.T) {
	newLab(t)
	echoServers(t, "inside", 80)
	s := open(t, Options{Snaplen: 256}, Point{NS: "outside", Link: "eth0"}, routerUp, routerIn, insidePoint)
	var nat Translations
	heard := listen(t)
	conn := dial(t, "outside", "udp", "10.10.0.1:8080")
	defer conn.Close()
	for i := range 50 {
		exchange(t, dial(t, "outside", "udp", "10.10.0.1:8080"), fmt.Sprintf("other %06d", i))
		text := fmt.Sprintf("request %06d", i)
		if _, err := conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, len(text))); err != nil {
			t.Fatal(err)
		}
	}
	settle()
	s.Stop()
	for _, tr := range heard.take() {
		nat.Add(tr)
	}
	port := conn.LocalAddr().String()
	var about Brief
	rows := make([]Brief, 1000)
	for i := range s.Store().View(1, rows) {
		if src, _ := rows[i].Outer.Key.Addrs(); strings.HasSuffix(port, fmt.Sprint(":", src.Port())) {
			about = rows[i]
		}
	}
	f, ok := NewFlowJourneys(s.Store(), &nat, 1, about)
	told := map[string]int{}
	time.Sleep(400 * time.Millisecond) // until all are complete
	for _, w := range f.lookAll(t).Journeys {
		told[trip(w)]++
	}
	if !ok || len(told) != 2 || told["original outside:eth0 router:up0[] router:in0[dst,ttl,src_mac,dst_mac,ip_checksum prerouting] inside:eth0[]"] != 50 ||
		told["reply inside:eth0 router:in0[] router:up0[src,ttl,src_mac,dst_mac,ip_checksum prerouting] outside:eth0[]"] != 50 {
		t.Errorf("%v", told)
	}
}
