package steps

// The words by which an ops.Maker and an ops.Inner know each other. Nothing makes
// the host's own namespace, which has the name "".

func netnsWord(ns string) string       { return "netns " + ns }
func linkWord(ns, link string) string  { return "link " + ns + "/" + link }
func tableWord(ns, name string) string { return "table " + ns + "/" + name }

// withinLink is for what is gone with a link, or with the link's namespace.
func withinLink(ns, link string) []string { return []string{linkWord(ns, link), netnsWord(ns)} }

// withinTable is for what is gone with an nft table, or with its namespace.
func withinTable(ns, table string) []string { return []string{tableWord(ns, table), netnsWord(ns)} }

func (s *NetnsAdd) Makes() []string  { return []string{netnsWord(s.Name)} }
func (s *BridgeAdd) Makes() []string { return []string{linkWord(s.NS, s.Name)} }
func (s *VethAdd) Makes() []string {
	return []string{linkWord(s.NS, s.Name), linkWord(s.PeerNS, s.PeerName)}
}
func (s *NftTable) Makes() []string { return []string{tableWord(s.NS, s.Name)} }

func (s *LinkUp) Within() []string      { return withinLink(s.NS, s.Link) }
func (s *LinkMaster) Within() []string  { return withinLink(s.NS, s.Link) }
func (s *PortHairpin) Within() []string { return withinLink(s.NS, s.Link) }
func (s *AddrAdd) Within() []string     { return withinLink(s.NS, s.Link) }
func (s *RouteAdd) Within() []string    { return withinLink(s.NS, s.Link) }

func (s *NftChain) Within() []string      { return withinTable(s.NS, s.Table) }
func (s *NftMasquerade) Within() []string { return withinTable(s.NS, s.Table) }
func (s *NftHairpin) Within() []string    { return withinTable(s.NS, s.Table) }
func (s *NftDNAT) Within() []string       { return withinTable(s.NS, s.Table) }
func (s *NftIsolate) Within() []string    { return withinTable(s.NS, s.Table) }
