package sandbox

import (
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// sendSignal asks the inner stage to send sig to the command.
func sendSignal(control *os.File, sig syscall.Signal) error {
	_, err := control.Write([]byte{byte(sig)})
	return err
}

// passer passes the signals of this process on to the command.
type passer struct {
	ch    chan os.Signal
	done  chan struct{}
	fatal atomic.Int32 // the first signal that is to end the sandbox
}

func passSignals(middle *os.Process, control *os.File, foreground bool) *passer {
	p := &passer{ch: make(chan os.Signal, 8), done: make(chan struct{})}
	signal.Notify(p.ch, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM)
	if !signal.Ignored(unix.SIGHUP) { // nohup(1)
		signal.Notify(p.ch, unix.SIGHUP)
	}
	go p.loop(middle, control, foreground)
	return p
}

func (p *passer) loop(middle *os.Process, control *os.File, foreground bool) {
	defer close(p.done)
	var killer *time.Timer
	for s := range p.ch {
		sig := s.(syscall.Signal)
		// A command that is gone needs no signal.
		_ = sendSignal(control, sig)
		if killer != nil || !foreground && fromTerminal(sig) {
			continue
		}
		p.fatal.Store(int32(sig))
		killer = time.AfterFunc(grace, func() { _ = middle.Kill() })
	}
	if killer != nil {
		killer.Stop()
	}
}

// stop ends the passing and returns the signal that ended the sandbox, or 0.
func (p *passer) stop() syscall.Signal {
	signal.Stop(p.ch)
	close(p.ch)
	<-p.done
	return syscall.Signal(p.fatal.Load())
}

// fromTerminal says whether sig may be a key pressed at our terminal. The
// command has then had it from the terminal too, and what it makes of it is its
// own affair: to a shell or an editor, ctrl+c is not the end.
func fromTerminal(sig syscall.Signal) bool {
	if sig != unix.SIGINT && sig != unix.SIGQUIT {
		return false
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer tty.Close()
	return inForeground(tty)
}
