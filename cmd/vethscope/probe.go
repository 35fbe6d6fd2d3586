package main

import (
	"errors"
	"fmt"
	"io/fs"
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
				return fmt.Errorf("ping %s from %s: %w", dst, ns, err)
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
		Use:     "get [-n NAMESPACE] URL",
		Short:   "Make an HTTP request from a namespace",
		Example: "  vethscope get -n outside http://10.10.0.1:8080/",
		Args:    exactArgs("URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := nsPath(ns)
			if err != nil {
				return err
			}
			target, err := resolveURL(cmd.Context(), ns, args[0])
			if err != nil {
				return fmt.Errorf("get %s: %w", args[0], err)
			}
			res, err := probe.Get(cmd.Context(), path, target, probe.GetOptions{})
			if err != nil {
				return fmt.Errorf("get %s from %s: %w", args[0], ns, err)
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

func newServeCmd() *cobra.Command {
	var ns string
	cmd := &cobra.Command{
		Use:     "serve [-n NAMESPACE] [ADDRESS:]PORT",
		Short:   "Answer HTTP requests in a namespace, telling who asked",
		Example: "  vethscope serve -n web-1 80",
		Args:    exactArgs("PORT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := nsPath(ns)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			s, err := probe.Serve(cmd.Context(), path, args[0], probe.ServeOptions{Name: ns, OnRequest: func(r probe.Request) {
				fmt.Fprintf(out, "%s asked %s: %s %s\n", r.Client, r.Local, printable(r.Method), printable(r.Path))
			}})
			if err != nil {
				return fmt.Errorf("serve %s in %s: %w", args[0], ns, err)
			}
			fmt.Fprintf(out, "serving HTTP on %s in %s (ctrl+c ends it)\n", s.Addr(), ns)
			return s.Wait()
		},
	}
	nsFlag(cmd, &ns)
	return cmd
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
