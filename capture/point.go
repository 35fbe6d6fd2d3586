// Package capture sees packets: live rings at any number of points in any
// number of namespaces, decoding, files, and the matching of one packet that
// was seen at several points, before and after it was rewritten.
package capture

// Point is a place where packets are seen: one link in one namespace.
type Point struct {
	NS   string `json:"ns"`   // the namespace's name, "host" for the one we were started in
	Path string `json:"-"`    // opens the namespace
	Link string `json:"link"` // the link's name in there
}

// String is the point as the command line writes it, "host:up0".
func (p Point) String() string { return p.NS + ":" + p.Link }
