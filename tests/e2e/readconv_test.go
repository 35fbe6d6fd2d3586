package e2e

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// talk is what `read --conversations -o json` prints, as far as it is looked at.
type talk struct {
	Number   int
	Protocol string
	A, B     string
	Flow     int
	State    string
	Point    string
	AB       struct{ Packets, Bytes int } `json:"a_to_b"`
	BA       struct{ Packets, Bytes int } `json:"b_to_a"`
}

func talksOf(t *testing.T, args ...string) (out []talk) {
	t.Helper()
	lines := bufio.NewScanner(strings.NewReader(vethscope(t, append(args, "--conversations", "-o", "json")...).must(t).out))
	for lines.Scan() {
		var one talk
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			t.Fatalf("%v in %s", err, lines.Text())
		}
		out = append(out, one)
	}
	return out
}

// TestReadConversations: who talked with whom, and what, is what tshark says.
func TestReadConversations(t *testing.T) {
	tool(t, "tshark")
	file := filepath.Join(natFiles(t), "nat.pcapng")
	var got []string
	outside, inside := 0, 0
	all := talksOf(t, "read", file, "-f", "tcp")
	for _, c := range all {
		got = append(got, fmt.Sprint(c.A, " ", c.B, " ", c.AB.Packets, " ", c.AB.Bytes, " ", c.BA.Packets, " ", c.BA.Bytes))
		if c.Protocol != "tcp" || c.State != "closed" || c.Flow == 0 {
			t.Errorf("%+v", c)
		}
		if c.B == "10.10.0.1:8080" && c.Point == "host:up0" {
			outside++
		}
		if c.B == "172.18.0.2:80" && c.Point == "web-1:eth0" {
			inside++
		}
	}
	if outside != 10 || inside != 10 {
		t.Errorf("%d conversations outside, %d inside; want 10 and 10", outside, inside)
	}
	out, err := exec.Command("tshark", "-r", file, "-q", "-z", "conv,tcp").Output()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	row := regexp.MustCompile(`(\S+) +<-> (\S+) +(\d+) (\d+) bytes +(\d+) (\d+) bytes `)
	for _, m := range row.FindAllStringSubmatch(string(out), -1) {
		want = append(want, strings.Join([]string{m[1], m[2], m[5], m[6], m[3], m[4]}, " "))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("conversations\n%s\ntshark's\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if n := len(talksOf(t, "read", file, "-c", "3")); n != 3 {
		t.Errorf("-c 3 shows %d", n)
	}
	follows(t, file, all)
}

// follows compares what conversations carried with what tshark says of them.
func follows(t *testing.T, file string, all []talk) {
	t.Helper()
	for stream := range 3 {
		out, err := exec.Command("tshark", "-r", file, "-q", "-z", fmt.Sprintf("follow,tcp,raw,%d", stream)).Output()
		if err != nil {
			t.Fatal(err)
		}
		node := regexp.MustCompile(`(?m)^Node 0: (\S+)\nNode 1: (\S+)\n`).FindStringSubmatchIndex(string(out))
		if node == nil {
			t.Fatalf("tshark says\n%s", out)
		}
		a, b := string(out[node[2]:node[3]]), string(out[node[4]:node[5]])
		var want []string
		for _, l := range strings.Split(string(out[node[1]:]), "\n") {
			if from := map[bool]string{true: "b", false: "a"}[strings.HasPrefix(l, "\t")]; l != "" && !strings.HasPrefix(l, "=") {
				want = append(want, from+strings.TrimSpace(l))
			}
		}
		var got []string
		lines := bufio.NewScanner(strings.NewReader(vethscope(t, "read", file, "--follow", "tcp:"+a+","+b, "-o", "json").must(t).out))
		for lines.Scan() {
			var chunk struct {
				From    string
				Data    []byte
				Missing int
			}
			if err := json.Unmarshal(lines.Bytes(), &chunk); err != nil || chunk.Missing != 0 {
				t.Errorf("%v in %s", err, lines.Text())
			}
			got = append(got, chunk.From+hex.EncodeToString(chunk.Data))
		}
		if len(want) < 2 || !slices.Equal(got, want) {
			t.Errorf("stream of %s and %s\n%s\ntshark's\n%s", a, b, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	i := slices.IndexFunc(all, func(c talk) bool { return c.B == "172.18.0.2:80" })
	text := vethscope(t, "read", file, "--follow", fmt.Sprint(all[i].Number)).must(t).out
	for _, want := range []string{"at web-1:eth0: A " + all[i].A + ", B 172.18.0.2:80\n", "\n→ GET / HTTP/1.1\n", "\n← HTTP/1.1 200 OK\n", "\n← This is web-1.\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	for _, args := range []string{"--follow 0", "--follow 9999", "--follow tcp:1.2.3.4:5", "--follow 1 -c 3", "--conversations --about", "--conversations -f rewritten", "--conversations -f (flow"} {
		if r := vethscope(t, append([]string{"read", file}, strings.Fields(args)...)...); r.status != 2 || !oneLine(r.errout) || r.out != "" {
			t.Errorf("read %s: status %d, %q", args, r.status, r.errout)
		}
	}
}

// TestCaptureConversations: a capture tells at its end who talked with whom, with
// the two sides of NAT linked.
func TestCaptureConversations(t *testing.T) {
	r := inSandbox(t, `set -e
		vethscope create bridge web --containers 1 --subnet 172.18.0.0/24 --publish 8080:80 >/dev/null
		vethscope serve -n web-1 80 >/dev/null 2>&1 & sleep 0.3
		vethscope capture host:up0 web-1:eth0 --conversations --for 3s -f tcp -o json & one=$!
		sleep 1
		for i in 1 2 3; do vethscope get -n outside http://10.10.0.1:8080/ >/dev/null; done
		wait $one`).must(t)
	ends := map[int][]string{}
	lines := bufio.NewScanner(strings.NewReader(r.out))
	for lines.Scan() {
		var c talk
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatalf("%v in %s", err, lines.Text())
		}
		ends[c.Flow] = append(ends[c.Flow], c.Point+" "+c.B+" "+c.State)
		if c.AB.Packets < 4 || c.BA.Packets < 3 {
			t.Errorf("%+v", c)
		}
	}
	for flow := 1; flow <= 3; flow++ {
		slices.Sort(ends[flow])
		if !slices.Equal(ends[flow], []string{"host:up0 10.10.0.1:8080 closed", "web-1:eth0 172.18.0.2:80 closed"}) {
			t.Errorf("flow %d: %q in\n%s", flow, ends[flow], r.out)
		}
	}
	if r := vethscope(t, "capture", "host:lo", "--conversations", "--journeys"); r.status != 2 || !oneLine(r.errout) {
		t.Errorf("status %d, %q", r.status, r.errout)
	}
}

// TestTUIConversations: from a request through the published port to who talks
// with whom, to what they say, and to the packets of one of them.
func TestTUIConversations(t *testing.T) {
	s := open(t, 100, 30)
	s.waitFor("sandbox", "outside", "10.10.0.2")
	s.keys("n")
	s.waitFor("bridge")
	s.keys("b")
	s.waitFor("Create a bridge network", "172.18.0.0/24")
	s.keys("enter")
	s.waitFor("Nothing is done yet")
	s.keys("enter")
	s.waitFor("Create bridge network web?")
	time.Sleep(500 * time.Millisecond) // the dialog ignores keys at first
	s.keys("y")
	s.waitFor("done", "DNAT to web-1:80")
	s.keys("r")
	s.waitFor("rewritten by", "status 200")
	s.keys("K")
	s.waitFor("› conversations", "10.10.0.1:8080", "172.18.0.2:80", "closed", "/s now")
	s.keys("f")
	s.waitFor("› stream", "→ GET / HTTP/1.1", "← HTTP/1.1 200 OK", "← This is web-1.")
	s.keys("x")
	s.waitFor("→ 000000  47 45 54 20 2f 20", "GET / HTTP/1.1..")
	s.keys("esc")
	s.waitGone("› stream")
	s.keys("enter")
	s.waitGone("› conversations")
	s.waitFor("tcp and host 10.10.0.2 and host", "[SYN] Se", "GET / HTTP/1.1")
	s.keys("ctrl+c")
	if got := s.status(); got != 0 && got != 130 {
		t.Errorf("ctrl+c: exit status %d", got)
	}
	s.tidy()
}
