package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"vethscope/ops/netns"
	"vethscope/ops/probe"
)

// nsFlag is the flag of every command that acts in one namespace.
func nsFlag(cmd *cobra.Command, ns *string) {
	cmd.Flags().StringVarP(ns, "namespace", "n", netns.Host, "the namespace to act in")
}

// nsPath opens the namespace that the user named.
func nsPath(ns string) (string, error) {
	path := netns.Path(ns)
	if _, err := netns.Inode(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return "", usageError{fmt.Errorf("no namespace %q: `vethscope ls namespaces` lists them", ns)}
		}
		return "", err
	}
	return path, nil
}

func newExecCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "exec NAMESPACE [--] COMMAND [ARG...]",
		Short:   "Run a command in a namespace; it finds the names of the namespace's networks",
		Example: "  vethscope exec web-1 -- ip addr",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usageError{errors.New("exec takes NAMESPACE COMMAND: see `vethscope exec --help`")}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			path, err := nsPath(args[0])
			if err != nil {
				return err
			}
			command := args[1:]
			if command[0] == "--" && len(command) > 1 {
				command = command[1:]
			}
			c := exec.Command(command[0], command[1:]...)
			c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
			// A child is born in the namespace of the thread that starts it.
			if err := startIn(args[0], path, c, os.Stderr); err != nil {
				return fmt.Errorf("exec %s: %w", args[0], err)
			}
			err = c.Wait()
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				if ws := exit.Sys().(syscall.WaitStatus); ws.Signaled() {
					return exitError(128 + int(ws.Signal()))
				}
				return exitError(exit.ExitCode())
			}
			return err
		},
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}

func newPingCmd() *cobra.Command {
	var ns, output string
	o := probe.PingOptions{}
	cmd := &cobra.Command{
		Use:     "ping [-n NAMESPACE] ADDRESS",
		Short:   "Send echo requests from a namespace",
		Example: "  vethscope ping -n web-1 10.10.0.2",
		Args:    exactArgs("ADDRESS"),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := nsPath(ns)
			if err != nil {
				return err
			}
			if err := tableOrJSON(output); err != nil {
				return err
			}
			if o.Count < 1 {
				return usageError{fmt.Errorf("ping: count %d: give 1 to 65535", o.Count)}
			}
			dst, err := resolve(cmd.Context(), ns, args[0])
			if err != nil {
				return fmt.Errorf("ping: %w", err)
			}
			out := cmd.OutOrStdout()
			if output != "json" {
				o.OnReply = func(r probe.PingReply) {
					if r.Problem != "" {
						fmt.Fprintf(out, "seq %d: %s\n", r.Seq, r.Problem)
						return
					}
					fmt.Fprintf(out, "seq %d: answer from %s in %s\n", r.Seq, r.From, r.RTT.Round(time.Microsecond))
				}
			}
			res, err := probe.Ping(cmd.Context(), path, dst, o)
			if err != nil {
				return probeError("ping", ns, err)
			}
			if output == "json" {
				if err := writeJSON(out, res); err != nil {
					return err
				}
			} else {
				fmt.Fprintf(out, "%d sent, %d answered\n", res.Sent, res.Received)
			}
			if res.Received == 0 {
				return exitError(exitFailed)
			}
			return nil
		},
	}
	nsFlag(cmd, &ns)
	cmd.Flags().IntVarP(&o.Count, "count", "c", 3, "how many")
	cmd.Flags().DurationVarP(&o.Interval, "interval", "i", 200*time.Millisecond, "time between two")
	cmd.Flags().IntVarP(&o.Size, "size", "s", 56, "bytes of data")
	cmd.Flags().IntVarP(&o.TTL, "ttl", "t", 64, "time to live")
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	return cmd
}

func newGetCmd() *cobra.Command {
	var ns, output string
	cmd := &cobra.Command{
		Use:   "get [-n NAMESPACE] URL",
		Short: "Make an HTTP request from a namespace, or send a datagram",
		Long: "An http:// URL is asked for; to udp://ADDRESS:PORT one datagram is sent, and its answer printed.\n" +
			"Containers go by their names, too.",
		Example: "  vethscope get -n outside http://10.10.0.1:8080/\n  vethscope get -n outside udp://10.10.0.1:5353",
		Args:    exactArgs("URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := nsPath(ns)
			if err != nil {
				return err
			}
			if err := tableOrJSON(output); err != nil {
				return err
			}
			target, err := resolveURL(cmd.Context(), ns, args[0])
			if err != nil {
				return fmt.Errorf("get %s: %w", args[0], err)
			}
			if dst, udp := strings.CutPrefix(target, "udp://"); udp {
				return exchange(cmd, ns, path, strings.TrimSuffix(dst, "/"), output)
			}
			res, err := probe.Get(cmd.Context(), path, target, probe.GetOptions{})
			if err != nil {
				return probeError("get", ns, err)
			}
			if output == "json" {
				return writeJSON(cmd.OutOrStdout(), res)
			}
			fmt.Fprint(cmd.OutOrStdout(), printable(res.Body))
			if res.Status >= 400 {
				return fmt.Errorf("get %s: the server answered with status %d", args[0], res.Status)
			}
			return nil
		},
	}
	nsFlag(cmd, &ns)
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	return cmd
}

// exchange sends a datagram and prints the answer.
func exchange(cmd *cobra.Command, ns, path, dst, output string) error {
	res, err := probe.Exchange(cmd.Context(), path, dst, probe.ExchangeOptions{})
	if err != nil {
		return probeError("get", ns, err)
	}
	if output == "json" {
		return writeJSON(cmd.OutOrStdout(), res)
	}
	fmt.Fprint(cmd.OutOrStdout(), printable(res.Body))
	return nil
}

func newServeCmd() *cobra.Command {
	var ns string
	var udp bool
	cmd := &cobra.Command{
		Use:     "serve [-n NAMESPACE] [ADDRESS:]PORT",
		Short:   "Answer HTTP requests, or datagrams, in a namespace, telling who asked",
		Example: "  vethscope serve -n web-1 80\n  vethscope serve -n web-1 --udp 53",
		Args:    exactArgs("PORT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := nsPath(ns)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if udp {
				s, err := probe.ServeUDP(cmd.Context(), path, args[0], probe.ServeOptions{Name: ns, OnRequest: func(r probe.Request) {
					fmt.Fprintf(out, "%s sent a datagram\n", r.Client)
				}})
				if err != nil {
					return serveError(args[0], ns, err)
				}
				fmt.Fprintf(out, "answering datagrams on %s in %s (ctrl+c ends it)\n", s.Addr(), ns)
				return s.Wait()
			}
			s, err := probe.Serve(cmd.Context(), path, args[0], probe.ServeOptions{Name: ns, OnRequest: func(r probe.Request) {
				fmt.Fprintf(out, "%s asked %s: %s %s\n", r.Client, r.Local, printable(r.Method), printable(r.Path))
			}})
			if err != nil {
				return serveError(args[0], ns, err)
			}
			fmt.Fprintf(out, "serving HTTP on %s in %s (ctrl+c ends it)\n", s.Addr(), ns)
			return s.Wait()
		},
	}
	nsFlag(cmd, &ns)
	cmd.Flags().BoolVar(&udp, "udp", false, "answer datagrams instead")
	return cmd
}

// tableOrJSON refuses other forms of output.
func tableOrJSON(output string) error {
	if output != "table" && output != "json" {
		return usageError{fmt.Errorf("-o %s: must be table or json", output)}
	}
	return nil
}

// probeError says where a probe was sent from, which does not matter where it was
// never sent, for what the user gave.
func probeError(command, ns string, err error) error {
	if input, ok := errors.AsType[*probe.InputError](err); ok {
		return usageError{fmt.Errorf("%s: %w", command, input)}
	}
	return fmt.Errorf("from %s: %w", ns, err)
}

// serveError says where a server was not started, and why.
func serveError(addr, ns string, err error) error {
	if input, ok := errors.AsType[*probe.InputError](err); ok {
		return usageError{fmt.Errorf("serve: %w", input)}
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err // the address has been said
	}
	return fmt.Errorf("serve %s in %s: %w", addr, ns, err)
}

// printable takes out of text from outside what could act on the terminal; its
// lines stay.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			return -1
		}
		return r
	}, s)
}
