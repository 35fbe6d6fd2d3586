package lab

import (
	"encoding/json"
	"testing"

	"vethscope/ops"
)

// entry is what the journal knows of a plan that is done.
func entry(t *testing.T, p *ops.Plan) ops.Entry {
	t.Helper()
	settings, err := json.Marshal(p.Settings)
	if err != nil {
		t.Fatal(err)
	}
	return ops.Entry{Title: p.Title, Name: p.Name, On: p.On, Mode: p.Mode, State: ops.StateDone, Settings: settings, Made: p.Made}
}
