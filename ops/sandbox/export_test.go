package sandbox

// For the tests, which cannot be in this package: they use sandboxtest.
var (
	Advise   = advise
	Children = children
)
