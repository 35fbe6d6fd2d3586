package netfilter

import "time"

// FlowEventKind is what a FlowEvent tells.
type FlowEventKind string

// The kinds of FlowEvent. A watch starts with FlowReset, one FlowPresent for
// each flow that is there, and FlowSynced. What the kernel dropped follows, as
// FlowPresent, between a FlowReset and a FlowSynced.
const (
	FlowReset   FlowEventKind = "reset"
	FlowPresent FlowEventKind = "present"
	FlowSynced  FlowEventKind = "synced"
	FlowNew     FlowEventKind = "new"
	// FlowRules tells that the rules of nf_tables were changed.
	FlowRules FlowEventKind = "rules"
)

// FlowEvent is a change to conntrack's table.
type FlowEvent struct {
	Kind FlowEventKind
	Flow Flow // with FlowPresent and FlowNew
	// Time is when the event was taken from the kernel, or before the dump that
	// the flow was found in began.
	Time time.Time
	// Lost counts, with FlowReset, how often the kernel has dropped events since
	// the watch began: 0 for the first one.
	Lost int
}
