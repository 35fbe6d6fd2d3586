package inventory

import "slices"

// ByInode is the namespace with the inode, nil for none.
func (s *Snapshot) ByInode(inode uint64) *Namespace {
	return s.find(func(n *Namespace) bool { return n.Inode == inode })
}

// Namespace is the namespace that the user calls name, nil for none.
func (s *Snapshot) Namespace(name string) *Namespace {
	return s.find(func(n *Namespace) bool { return n.Name == name || slices.Contains(n.Also, name) })
}

// Host is the namespace that the program was started in, nil when /proc hides it.
func (s *Snapshot) Host() *Namespace {
	return s.find(func(n *Namespace) bool { return n.Kind == KindHost })
}

func (s *Snapshot) find(match func(*Namespace) bool) *Namespace {
	for i := range s.Namespaces {
		if match(&s.Namespaces[i]) {
			return &s.Namespaces[i]
		}
	}
	return nil
}

// Link is the link called name, nil for none.
func (n *Namespace) Link(name string) *Link {
	for i := range n.Links {
		if n.Links[i].Name == name {
			return &n.Links[i]
		}
	}
	return nil
}
