package filter

import (
	"testing"

	"vethscope/ops/sandbox/sandboxtest"
)

func TestMain(m *testing.M) { sandboxtest.Main(m) }
