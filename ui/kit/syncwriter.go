package kit

import (
	"os"
	"sync"

	"github.com/charmbracelet/x/ansi"
)

// SyncWriter is a terminal that draws each Write at once: it puts the write
// between the synchronized output marks (CSI ? 2026 h and l, see
// https://gist.github.com/christianparpart/d8a62cc1ab659194337d73e399004036),
// which terminals that do not know them ignore. It passes for the file that it
// wraps (Read, Fd, Close), so that Bubble Tea finds the terminal behind it. It
// may be used by several goroutines.
type SyncWriter struct {
	*os.File
	mu  sync.Mutex
	buf []byte
}

// NewSyncWriter wraps a terminal.
func NewSyncWriter(f *os.File) *SyncWriter { return &SyncWriter{File: f} }

// Write writes p and the marks around it with a single write to the file.
func (w *SyncWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = append(w.buf[:0], ansi.SetModeSynchronizedOutput...)
	w.buf = append(w.buf, p...)
	w.buf = append(w.buf, ansi.ResetModeSynchronizedOutput...)
	n, err := w.File.Write(w.buf)
	n = max(0, min(n-len(ansi.SetModeSynchronizedOutput), len(p)))
	return n, err
}
