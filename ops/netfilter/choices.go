package netfilter

// choices walks through everything that could happen where the evaluator
// cannot decide: every run takes the next combination of answers.
type choices struct {
	path []choice
	at   int
}

type choice struct{ taken, of int }

// pick is one of n answers, from 0 on: the one that is this run's turn.
func (c *choices) pick(n int) int {
	if c.at == len(c.path) {
		c.path = append(c.path, choice{of: n})
	}
	taken := c.path[c.at].taken
	c.at++
	return taken
}

// next readies another run, and says whether there is one.
func (c *choices) next() bool {
	c.path = c.path[:c.at]
	c.at = 0
	for len(c.path) > 0 {
		last := &c.path[len(c.path)-1]
		last.taken++
		if last.taken < last.of {
			return true
		}
		c.path = c.path[:len(c.path)-1]
	}
	return false
}
