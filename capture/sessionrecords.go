package capture

import "context"

// recordBatch is how many records are handed out at once, at most.
const recordBatch = 512

// Records hands out all packets of all points, decoded, in the order of the
// kernel's timestamps, in batches. It is closed when every point has ended, or
// after Stop or Close. A packet is final, and handed out, one block timeout and
// 5 ms after it was seen, and sooner when there is one point.
// When the reader of the channel is slow, packets are skipped and counted; they
// do not pile up. Decoding costs about a microsecond a packet: who needs no
// more than a summary, or not every packet, asks the Store.
func (s *Session) Records() <-chan []*Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked {
		return s.out
	}
	s.asked = true
	if s.closed {
		close(s.out)
		return s.out
	}
	s.store.follow()
	s.all.Go(s.handOut)
	return s.out
}

// handOut follows the store until it has ended, or the session is closed.
func (s *Session) handOut() {
	defer close(s.out)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.all.Go(func() {
		select {
		case <-s.quit:
			cancel()
		case <-ctx.Done():
		}
	})
	var decoders []*decoder
	for s.store.Wait(ctx, s.store.followed()) {
		batch, points := s.store.take(recordBatch, s.opts.Buffer)
		for i, rec := range batch {
			for len(decoders) <= int(points[i]) {
				decoders = append(decoders, newDecoder(s.opts.VXLANPorts...))
			}
			decoders[points[i]].decode(rec)
		}
		select {
		case s.out <- batch:
		case <-s.quit:
			s.store.skip(points)
		}
	}
	<-s.live
	for s.store.Wait(context.Background(), s.store.followed()) { // closed: nobody takes it
		_, points := s.store.take(recordBatch, s.opts.Buffer)
		s.store.skip(points)
	}
}

// follow begins to hand out, with the oldest packet.
func (st *Store) follow() {
	st.mu.Lock()
	st.follows = st.first
	st.mu.Unlock()
}

// followed is the serial of the packet that take gave last.
func (st *Store) followed() uint64 {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.follows - 1
}

// skip counts packets that were taken for nothing.
func (st *Store) skip(points []uint16) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, p := range points {
		st.skipped[p]++
	}
}

func (st *Store) skips(point int) uint64 {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.skipped[point]
}

// take copies the next packets that Records is to hand out, with the numbers of
// their points. Those that are more than lag behind are skipped.
func (st *Store) take(most, lag int) (batch []*Record, points []uint16) {
	st.mu.Lock()
	defer st.mu.Unlock()
	size := uint64(len(st.order))
	for ; st.next-st.follows > uint64(lag); st.follows++ {
		st.skipped[st.brief(st.order[st.follows%size]).Point]++
	}
	n := min(most, int(st.next-st.follows))
	batch, points = make([]*Record, n), make([]uint16, n)
	for i := range batch {
		r := st.order[st.follows%size]
		batch[i], points[i] = st.record(r), st.brief(r).Point
		batch[i].Serial = st.follows
		st.follows++
	}
	return batch, points
}
