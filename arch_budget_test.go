package caddylb_test

import (
	"go/ast"
	"path"
	"strings"
	"testing"
)

// Budgets of size, counted in lines with comments and blank lines.
const (
	softFileLines = 300
	hardFileLines = 400
	funcLines     = 60
	testFuncLines = 120
)

func TestFileBudget(t *testing.T) {
	for _, f := range goFiles(t) {
		switch n := f.fset.File(f.file.FileStart).LineCount() - 1; {
		case n > hardFileLines:
			t.Errorf("%s has %d lines, more than %d: give its second concept a file of its own", f.path, n, hardFileLines)
		case n > softFileLines:
			t.Logf("%s has %d lines, more than %d", f.path, n, softFileLines)
		}
	}
}

func TestFunctionBudget(t *testing.T) {
	for _, f := range goFiles(t) {
		for _, decl := range f.file.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			budget := funcLines
			if f.isTest() && isTestFunc(fn.Name.Name) {
				budget = testFuncLines
			}
			if n := f.line(fn.End()) - f.line(fn.Pos()) + 1; n > budget {
				t.Errorf("%s:%d: %s has %d lines, more than %d", f.path, f.line(fn.Pos()), fn.Name.Name, n, budget)
			}
		}
	}
}

func isTestFunc(name string) bool {
	for _, prefix := range []string{"Test", "Benchmark", "Fuzz", "Example"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func TestEveryPackageHasADoc(t *testing.T) {
	// A directory that has tests alone documents itself in one of them.
	code, documented := make(map[string]bool), make(map[string]bool)
	parsed := goFiles(t)
	for _, f := range parsed {
		code[path.Dir(f.path)] = code[path.Dir(f.path)] || !f.isTest()
	}
	for _, f := range parsed {
		dir := path.Dir(f.path)
		documented[dir] = documented[dir] || f.file.Doc.Text() != "" && f.isTest() != code[dir]
	}
	for dir := range code {
		if !documented[dir] {
			t.Errorf("%s has no package comment", dir)
		}
	}
}
