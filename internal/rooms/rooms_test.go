// Package rooms checks that the packages of this module import each other in the direction that docs/architecture.md says.
package rooms

import (
	"bufio"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/seed39b58f2d/dmft/"

// levels reads the table of rooms: the row of every package, counted from the lowest room.
func levels(t *testing.T, root string) map[string]int {
	f, err := os.Open(filepath.Join(root, "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cell := regexp.MustCompile("^\\| `([^`]+)` \\|")
	out := map[string]int{}
	rooms, row := false, 0
	for s := bufio.NewScanner(f); s.Scan(); {
		if strings.HasPrefix(s.Text(), "## ") {
			rooms = strings.HasPrefix(s.Text(), "## Rooms")
		}
		m := cell.FindStringSubmatch(s.Text())
		if !rooms || m == nil {
			continue
		}
		row++
		names := []string{m[1]}
		if head, list, ok := strings.Cut(strings.TrimSuffix(m[1], "}"), "{"); ok {
			names = nil
			for _, n := range strings.Split(list, ",") {
				names = append(names, head+n)
			}
		}
		for _, n := range names {
			out[n] = row
		}
	}
	return out
}

// TestArrows: every package stands in the table, and imports nothing from a room below its own in it, which is above it in the house.
func TestArrows(t *testing.T) {
	root := filepath.Join("..", "..")
	level := levels(t, root)
	if level["dmft"] == 0 || level["cmd/dmft"] <= level["dmft"] {
		t.Fatalf("the table was not read: %v", level)
	}
	// of is the row of a package, or of a room around it.
	of := func(pkg string) int {
		for p := pkg; p != "."; p = path.Dir(p) {
			if l := level[p]; l > 0 {
				return l
			}
		}
		return 0
	}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, file)
		if d.IsDir() {
			base := d.Name()
			_, module := os.Stat(filepath.Join(file, "go.mod")) // another one has no rooms here
			if rel != "." && (strings.HasPrefix(base, ".") || base == "testdata" && rel != "testdata" || module == nil) || rel == "notebooks" {
				return filepath.SkipDir
			}
			return nil
		}
		pkg := filepath.ToSlash(filepath.Dir(rel))
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		own := of(pkg)
		if own == 0 {
			t.Errorf("%s is in no room of docs/architecture.md", pkg)
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, i := range f.Imports {
			imported, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			if p, ok := strings.CutPrefix(imported, module); ok && of(p) > own {
				t.Errorf("%s imports %s, a room above it", rel, p)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
