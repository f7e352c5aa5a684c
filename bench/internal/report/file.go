package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// The markers between which a page has the tables.
const (
	Begin = "<!-- benchmark: begin -->"
	End   = "<!-- benchmark: end -->"
)

// WriteJSON writes the report to a file, whose directory it makes if need be.
func (r *Report) WriteJSON(name string) error { return WriteJSON(name, r) }

// WriteJSON writes anything to a file, whose directory it makes if need be.
func WriteJSON(name string, v any) error {
	data, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, append(data, '\n'), 0o644)
}

// WriteMarkdown puts the tables between the markers of a page, in place of what stands there.
func (r *Report) WriteMarkdown(name string) error { return WriteMarkdown(name, r.Markdown()) }

// WriteMarkdown puts text between the markers of a page, in place of what stands there.
func WriteMarkdown(name, text string) error {
	page, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	page, err = insert(page, text)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return os.WriteFile(name, page, 0o644)
}

func insert(page []byte, text string) ([]byte, error) {
	before, rest, ok := bytes.Cut(page, []byte(Begin))
	_, after, ok2 := bytes.Cut(rest, []byte(End))
	if !ok || !ok2 {
		return nil, fmt.Errorf("the tables go between the lines %s and %s, which are not there", Begin, End)
	}
	return fmt.Appendf(nil, "%s%s\n\n%s\n%s%s", before, Begin, text, End, after), nil
}
