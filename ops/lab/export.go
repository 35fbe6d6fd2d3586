package lab

import (
	"fmt"

	"github.com/goccy/go-yaml"

	"vethscope/ops"
	"vethscope/ops/modes"
)

// Export writes the lab called name that makes what the journal's entries made.
// left are the titles of those that no lab can say: interrupted ones, and what
// is no mode.
func Export(name string, entries []ops.Entry) (text []byte, left []string, err error) {
	var networks []yaml.MapSlice
	for _, e := range entries {
		if e.State != ops.StateDone || e.Settings == nil || modes.New(e.Mode) == nil {
			left = append(left, e.Title)
			continue
		}
		var settings yaml.MapSlice
		if err := yaml.UnmarshalWithOptions(e.Settings, &settings, yaml.UseOrderedMap()); err != nil {
			return nil, nil, fmt.Errorf("settings of %s: %w", e.Name, err)
		}
		networks = append(networks, append(yaml.MapSlice{{Key: "mode", Value: e.Mode}}, settings...))
	}
	if len(networks) == 0 {
		return nil, left, ops.ErrNothing
	}
	text, err = yaml.MarshalWithOptions(yaml.MapSlice{
		{Key: "lab", Value: name},
		{Key: "networks", Value: networks},
	}, yaml.IndentSequence(true))
	return text, left, err
}
