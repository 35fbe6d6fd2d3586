package steps

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"vethscope/ops"
	"vethscope/ops/netns"
)

// SysctlSet sets one kernel parameter of a network namespace. Several plans may
// want the same; the last one that is undone restores it.
type SysctlSet struct {
	NS     string `json:"ns,omitempty"`
	Key    string `json:"key"` // "net.ipv4.ip_forward"
	Value  string `json:"value"`
	Reason string `json:"reason"`
	// Old holds every parameter that setting this one changes, as it was.
	Old []Param `json:"old,omitempty"`
}

// Param is one parameter with its value.
type Param struct {
	Path  string `json:"path"` // under /proc/sys
	Value string `json:"value"`
}

// sideEffects are what the kernel changes along with a parameter:
// inet_forward_change in net/ipv4/devinet.c, addrconf_fixup_forwarding in
// net/ipv6/addrconf.c.
var sideEffects = map[string][]string{
	"net.ipv4.ip_forward":          {"net/ipv4/conf/*/forwarding", "net/ipv4/conf/*/accept_redirects"},
	"net.ipv6.conf.all.forwarding": {"net/ipv6/conf/*/forwarding"},
}

func (s *SysctlSet) Kind() string { return "sysctl.set" }
func (s *SysctlSet) Why() string  { return s.Reason }
func (s *SysctlSet) Shell() string {
	return exec(s.NS) + "sysctl -qw " + s.Key + "=" + s.Value
}

// Share and TakeOver make SysctlSet an ops.Sharer.
func (s *SysctlSet) Share() string { return s.NS + " " + s.Key + "=" + s.Value }

func (s *SysctlSet) TakeOver(older ops.Step) {
	if o, ok := older.(*SysctlSet); ok {
		s.Old = o.Old
	}
}

func (s *SysctlSet) path() string { return strings.ReplaceAll(s.Key, ".", "/") }

func (s *SysctlSet) Check(context.Context) error {
	return netns.Do(netns.Path(s.NS), func() error {
		s.Old = nil
		paths := []string{s.path()}
		for _, pattern := range sideEffects[s.Key] {
			found, err := filepath.Glob("/proc/sys/" + pattern)
			if err != nil {
				return err
			}
			for _, f := range found {
				paths = append(paths, strings.TrimPrefix(f, "/proc/sys/"))
			}
		}
		for _, p := range paths {
			v, err := readSysctl(p)
			if err != nil {
				return s.unreadable(p, err)
			}
			s.Old = append(s.Old, Param{p, v})
		}
		return nil
	})
}

// ParameterError says that there is no such kernel parameter, or that it does not
// take such a value.
type ParameterError struct{ Message string }

func (e *ParameterError) Error() string { return e.Message }

// unreadable says why a parameter cannot be read.
func (s *SysctlSet) unreadable(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(s.Key, "net.bridge."):
		return &ParameterError{fmt.Sprintf("%s has no kernel parameter %s: is the module br_netfilter loaded?", label(s.NS), s.Key)}
	case errors.Is(err, fs.ErrNotExist):
		return &ParameterError{fmt.Sprintf("%s has no kernel parameter %s", label(s.NS), s.Key)}
	case errors.Is(err, unix.EISDIR):
		return &ParameterError{fmt.Sprintf("%s is not one kernel parameter, but a group of them", s.Key)}
	}
	return fmt.Errorf("read %s: %w", path, err)
}

func (s *SysctlSet) Do(context.Context) error {
	return netns.Do(netns.Path(s.NS), func() error {
		if len(s.Old) > 0 && s.Old[0].Value == s.Value {
			return nil
		}
		err := writeSysctl(s.path(), s.Value)
		switch {
		case errors.Is(err, unix.EINVAL):
			return &ParameterError{fmt.Sprintf("%s: the kernel refuses the value %q", s.Key, s.Value)}
		case errors.Is(err, unix.EROFS):
			return fmt.Errorf("set %s: %w (/proc/sys is mounted read-only here: run it outside the container)", s.Key, err)
		}
		return explain(err)
	})
}

func (s *SysctlSet) Undo(context.Context) error {
	err := netns.Do(netns.Path(s.NS), func() error {
		for _, p := range s.Old {
			now, err := readSysctl(p.Path)
			if errors.Is(err, fs.ErrNotExist) {
				continue // a link that is gone
			}
			if err == nil && now != p.Value {
				err = writeSysctl(p.Path, p.Value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if s.NS != "" && undoGone(err) {
		return nil
	}
	return explain(err)
}

func readSysctl(path string) (string, error) {
	data, err := os.ReadFile("/proc/sys/" + path)
	return strings.TrimSpace(string(data)), err
}

func writeSysctl(path, value string) error {
	return os.WriteFile("/proc/sys/"+path, []byte(value), 0)
}
