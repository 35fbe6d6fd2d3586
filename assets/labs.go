package assets

import (
	"embed"
	"io/fs"
)

//go:embed labs/*.yaml
var labs embed.FS

// Labs holds the lab files that are built into the program, NAME.yaml each.
func Labs() fs.FS {
	sub, err := fs.Sub(labs, "labs")
	if err != nil {
		panic(err) // the path is a constant
	}
	return sub
}
