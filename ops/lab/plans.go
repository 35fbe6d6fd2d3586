package lab

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"vethscope/ops"
	"vethscope/ops/modes"
)

// Plans holds the lab against w: each network against the world as those before
// it will leave it. They are to be run in their order. Nothing is changed; the
// error is of type Errors when the lab does not fit.
func (l *Lab) Plans(w modes.World) ([]*ops.Plan, error) {
	plans := make([]*ops.Plan, 0, len(l.networks))
	for i, n := range l.networks {
		p, err := n.settings.Plan(w)
		if err != nil {
			return nil, l.placed(i, err)
		}
		p.Lab = l.Name
		w = w.After(p)
		plans = append(plans, p)
	}
	var errs Errors
	for i, p := range l.Proofs {
		if !w.Namespaces[p.From] {
			errs = append(errs, Error{l.File, line(l.proofs[i], "from"), fmt.Sprintf("proofs[%d].from", i),
				fmt.Sprintf("no namespace %q", p.From)})
		}
		if ns, _, ok := strings.Cut(p.Serve, ":"); ok && !w.Namespaces[ns] {
			errs = append(errs, Error{l.File, line(l.proofs[i], "serve"), fmt.Sprintf("proofs[%d].serve", i),
				fmt.Sprintf("no namespace %q", ns)})
		}
	}
	if len(errs) > 0 {
		return nil, errs
	}
	made := &plans[len(plans)-1].Made
	made.Proofs = slices.Clip(made.Proofs)
	for _, p := range l.Proofs {
		p.Lab = true
		made.Proofs = append(made.Proofs, p)
	}
	return plans, nil
}

// placed says where in the file what a mode found fault with stands.
func (l *Lab) placed(i int, err error) error {
	n, at := l.networks[i], fmt.Sprintf("networks[%d]", i)
	var fields modes.Errors
	if !errors.As(err, &fields) {
		return fmt.Errorf("%s:%d: %s: %w", l.File, lineOf(n.node), at, err)
	}
	var errs Errors
	for _, f := range fields {
		errs = append(errs, Error{l.File, line(n.node, f.Field), at + "." + f.Field, f.Message})
	}
	return errs
}
