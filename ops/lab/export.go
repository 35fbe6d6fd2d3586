package lab

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"

	"vethscope/ops"
	"vethscope/ops/modes"
)

// Export writes the lab called name that makes what the journal's entries made,
// and tries what the labs among them did. left are the titles of those that no lab
// can say: interrupted ones, and what is no mode; a comment in the text names
// them, too.
func Export(name string, entries []ops.Entry) (text []byte, left []string, err error) {
	var networks, proofs []yaml.MapSlice
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
		proofs = append(proofs, ownProofs(e.Made.Proofs)...)
	}
	if len(networks) == 0 {
		return nil, left, ops.ErrNothing
	}
	all := yaml.MapSlice{{Key: "lab", Value: name}, {Key: "networks", Value: networks}}
	if len(proofs) > 0 {
		all = append(all, yaml.MapItem{Key: "proofs", Value: proofs})
	}
	text, err = yaml.MarshalWithOptions(all, yaml.IndentSequence(true))
	return append([]byte(leftOut(left)), text...), left, err
}

// ownProofs are those that stood in a lab; the others come with the modes.
func ownProofs(list []ops.Proof) []yaml.MapSlice {
	var out []yaml.MapSlice
	for _, p := range list {
		if !p.Lab {
			continue
		}
		m := yaml.MapSlice{{Key: "kind", Value: p.Kind}, {Key: "from", Value: p.From}, {Key: "target", Value: p.Target}}
		if p.Serve != "" {
			m = append(m, yaml.MapItem{Key: "serve", Value: p.Serve})
		}
		out = append(out, append(m, yaml.MapItem{Key: "want", Value: p.Want}, yaml.MapItem{Key: "why", Value: p.Why}))
	}
	return out
}

// leftOut is the comment that says what is not in the file.
func leftOut(titles []string) string {
	if len(titles) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("# Left out, as no lab file can say it:\n")
	for _, t := range titles {
		b.WriteString("#   " + plain(t) + "\n")
	}
	return b.String()
}
