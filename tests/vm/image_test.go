package vm

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// image is an initramfs in the making: a cpio archive of the "newc" kind, as the
// kernel's Documentation/driver-api/early-userspace/buffer-format.rst has it.
type image struct {
	buf   bytes.Buffer
	inode int
	names []string
}

func (m *image) put(name string, mode uint32, data []byte) {
	if slices.Contains(m.names, name) {
		return
	}
	m.names = append(m.names, name)
	m.inode++
	fmt.Fprintf(&m.buf, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		m.inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0)
	m.buf.WriteString(name)
	m.buf.WriteByte(0)
	m.pad()
	m.buf.Write(data)
	m.pad()
}

func (m *image) pad() {
	for m.buf.Len()%4 != 0 {
		m.buf.WriteByte(0)
	}
}

// The file types of stat(2).
const (
	modeDir  = 0o040000
	modeFile = 0o100000
)

// file puts a file of this machine, and the directories above it, under name.
func (m *image) file(t *testing.T, name, from string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	name = strings.TrimPrefix(name, "/")
	m.dirs(filepath.Dir(name))
	m.put(name, modeFile|0o755, data)
}

func (m *image) dirs(dir string) {
	if dir == "." || dir == "/" {
		return
	}
	m.dirs(filepath.Dir(dir))
	m.put(dir, modeDir|0o755, nil)
}

// library is one line of ldd(1) with a path in it.
var library = regexp.MustCompile(`(/\S+) \(0x`)

// program puts a dynamically linked program of this machine into /bin, and its
// libraries where it looks for them.
func (m *image) program(t *testing.T, path string) {
	t.Helper()
	m.file(t, "/bin/"+filepath.Base(path), path)
	out, err := exec.Command("ldd", path).Output()
	if err != nil {
		t.Fatalf("ldd %s: %v", path, err)
	}
	for _, found := range library.FindAllStringSubmatch(string(out), -1) {
		m.file(t, found[1], found[1])
	}
}

// bytes ends the archive.
func (m *image) bytes() []byte {
	m.put("TRAILER!!!", 0, nil)
	return m.buf.Bytes()
}

// modules puts the named kernel modules and what they depend on into /modules,
// with names in the order in which they must be loaded. What is built into the
// kernel needs no file; what is in neither is an error.
func (m *image) modules(t *testing.T, dir string, names ...string) {
	t.Helper()
	files, builtin := map[string]string{}, map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".ko") {
			files[moduleName(path)] = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadFile(filepath.Join(dir, "modules.builtin"))
	if err != nil {
		t.Fatal(err)
	}
	for path := range strings.Lines(string(list)) {
		builtin[moduleName(strings.TrimSpace(path))] = true
	}
	done := map[string]bool{}
	var add func(name string)
	add = func(name string) {
		if done[name] || builtin[name] {
			return
		}
		done[name] = true
		path, ok := files[name]
		if !ok {
			t.Fatalf("the kernel in %s has no module %s", dir, name)
		}
		for _, need := range depends(t, path) {
			add(need)
		}
		// By now all that it needs has a lower number.
		m.file(t, fmt.Sprintf("/modules/%03d-%s.ko", len(m.names), name), path)
	}
	for _, name := range names {
		add(name)
	}
}

// moduleName is the name that the kernel uses: modules are named with both '-'
// and '_', and mean the same.
func moduleName(path string) string {
	return strings.ReplaceAll(strings.TrimSuffix(filepath.Base(path), ".ko"), "-", "_")
}

// depends reads from a module the names of those that it needs.
func depends(t *testing.T, path string) []string {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Section(".modinfo").Data()
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	for entry := range bytes.SplitSeq(info, []byte{0}) {
		if list, ok := strings.CutPrefix(string(entry), "depends="); ok && list != "" {
			return strings.Split(strings.ReplaceAll(list, "-", "_"), ",")
		}
	}
	return nil
}
