// Package rooms checks that the packages of this module import each other in the direction that docs/architecture.md
// says, that the documents for developers name files that are there, and that the public packages are public
// throughout.
package rooms

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
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

// TestArrows: every package stands in the table, and imports nothing from a room below its own in it, which is above it
// in the house.
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
			if rel != "." && (strings.HasPrefix(base, ".") || base == "testdata" && rel != "testdata" ||
				module == nil) || rel == "notebooks" {
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

// TestPaths: the files that the documents for developers name are there. Names in capitals stand for what is to be
// added.
func TestPaths(t *testing.T) {
	root := filepath.Join("..", "..")
	path, found := regexp.MustCompile("`([a-z_/0-9]+\\.(?:go|md))`"), 0
	for _, doc := range []string{"architecture.md", "extending.md"} {
		b, err := os.ReadFile(filepath.Join(root, "docs", doc))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range path.FindAllStringSubmatch(string(b), -1) {
			found++
			if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
				t.Errorf("docs/%s names %s: %v", doc, m[1], err)
			}
		}
	}
	if found < 20 {
		t.Errorf("%d paths were found", found)
	}
}

// TestSignatures: no exported name of a public package has a type of an internal package in its signature, its fields
// or its methods.
func TestSignatures(t *testing.T) {
	root := filepath.Join("..", "..")
	seen := 0
	for _, dir := range []string{"kernels", "ode", "dmft"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			seen++
			internal := map[string]bool{}
			for _, i := range f.Imports {
				if p, _ := strconv.Unquote(i.Path.Value); strings.HasPrefix(p, module+"internal/") {
					internal[path.Base(p)] = true
				}
			}
			look := func(what string, n ast.Node) {
				ast.Inspect(n, func(n ast.Node) bool {
					if s, ok := n.(*ast.SelectorExpr); ok {
						if x, ok := s.X.(*ast.Ident); ok && internal[x.Name] {
							t.Errorf("%s: %s has the internal type %s.%s", file, what, x.Name, s.Sel.Name)
						}
					}
					return true
				})
			}
			for _, d := range f.Decls {
				switch d := d.(type) {
				case *ast.FuncDecl:
					if d.Name.IsExported() && (d.Recv == nil || exported(d.Recv.List[0].Type)) {
						look(d.Name.Name, d.Type)
					}
				case *ast.GenDecl:
					for _, s := range d.Specs {
						switch s := s.(type) {
						case *ast.TypeSpec:
							if !s.Name.IsExported() {
								continue
							}
							if s.TypeParams != nil {
								look(s.Name.Name, s.TypeParams)
							}
							if fields, ok := s.Type.(*ast.StructType); ok {
								for _, f := range fields.Fields.List {
									if len(f.Names) == 0 || slices.ContainsFunc(f.Names, (*ast.Ident).IsExported) {
										look(s.Name.Name, f.Type)
									}
								}
								continue
							}
							look(s.Name.Name, s.Type)
						case *ast.ValueSpec:
							if s.Type != nil && slices.ContainsFunc(s.Names, (*ast.Ident).IsExported) {
								look(s.Names[0].Name, s.Type)
							}
						}
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if seen < 100 {
		t.Errorf("%d files were read", seen)
	}
}

// exported says whether the type of a receiver is.
func exported(e ast.Expr) bool {
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return true
		}
	}
}
