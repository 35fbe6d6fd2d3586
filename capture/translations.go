package capture

import "sync"

// maxTranslations is how many translations are remembered: as many as a Matcher
// knows flows.
const maxTranslations = maxFlows

// Translations are the latest of what conntrack told during a capture, for who
// looks at packets later. Its methods may be called concurrently. The zero
// value is ready for use.
type Translations struct {
	mu   sync.Mutex
	ring []Translation
	next int // the number of the one that comes next
}

// Add remembers one more; the oldest one makes room.
func (t *Translations) Add(tr Translation) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.ring) < maxTranslations {
		t.ring = append(t.ring, tr)
	} else {
		t.ring[t.next%maxTranslations] = tr
	}
	t.next++
}

// Since returns those from number n on that are still known, in the order in
// which they came, and the number of the one that comes next.
func (t *Translations) Since(n int) (list []Translation, next int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for n = max(n, t.next-len(t.ring)); n < t.next; n++ {
		list = append(list, t.ring[n%maxTranslations])
	}
	return list, t.next
}
