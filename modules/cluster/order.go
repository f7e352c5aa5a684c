package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/caddylb/caddy-lb/lb"
)

// backend is whose orders they are.
type backend struct{ pool, address string }

// attribute is what an order is about. Each has its own version, so that who sets a weight does not take another's drain back.
type attribute string

const (
	attributeDrain  attribute = "drain"
	attributeWeight attribute = "weight"
)

var attributes = []attribute{attributeDrain, attributeWeight}

// field is where an order stands in Redis.
type field struct {
	backend

	attribute attribute
}

// maxField bounds the text of a field, in bytes.
const maxField = 1024

// String is the field as Redis has it: a JSON array, since names may hold anything.
func (f field) String() string {
	text, _ := json.Marshal([]string{string(f.attribute), f.pool, f.address}) // strings cannot fail
	return string(text)
}

func parseField(text string) (field, bool) {
	var parts []string
	if len(text) > maxField || json.Unmarshal([]byte(text), &parts) != nil || len(parts) != 3 {
		return field{}, false
	}
	f := field{backend{parts[1], parts[2]}, attribute(parts[0])}
	return f, f.attribute == attributeDrain || f.attribute == attributeWeight
}

// value of an order as Redis has it: "" for one that was taken back, else "1" for a drain, and weight/configured for a weight.
func (f field) value(o lb.Override) string {
	switch {
	case f.attribute == attributeDrain && o.Drained != nil && *o.Drained:
		return "1"
	case f.attribute == attributeWeight && o.Weight != nil:
		return fmt.Sprintf("%d/%d", *o.Weight, o.Configured)
	}
	return ""
}

var errValue = errors.New("not an order")

// decide puts a value into an override.
func (f field) decide(value string, o *lb.Override) error {
	if value == "" {
		return nil
	}
	if f.attribute == attributeDrain {
		if value != "1" {
			return errValue
		}
		drained := true
		o.Drained = &drained
		return nil
	}
	weight, configured, _ := strings.Cut(value, "/")
	w, err := parseWeight(weight)
	if err != nil {
		return err
	}
	c, err := parseWeight(configured)
	if err != nil {
		return err
	}
	o.Weight, o.Configured = &w, c
	return nil
}

func parseWeight(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > lb.MaxWeight {
		return 0, errValue
	}
	return n, nil
}

// maxVersion is the largest that Redis's scripts can count with, some two hundred years from now.
const maxVersion = 1 << 53

// stored is an order as Redis has it: its version, which is Redis's time in microseconds, and its value.
type stored struct {
	version int64
	value   string
}

func (s stored) String() string { return strconv.FormatInt(s.version, 10) + " " + s.value }

// parseStored reads what Redis has for a field. What it has may be anyone's.
func parseStored(f field, text string) (stored, bool) {
	digits, value, ok := strings.Cut(text, " ")
	version, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || version <= 0 || version > maxVersion {
		return stored{}, false
	}
	if f.decide(value, new(lb.Override)) != nil {
		return stored{}, false
	}
	return stored{version, value}, true
}

// parseNews reads an order as it is announced: "<version> <value> <field>".
func parseNews(text string) (field, stored, bool) {
	version, rest, _ := strings.Cut(text, " ")
	value, name, ok := strings.Cut(rest, " ")
	if !ok {
		return field{}, stored{}, false
	}
	f, ok := parseField(name)
	if !ok {
		return field{}, stored{}, false
	}
	s, ok := parseStored(f, version+" "+value)
	return f, s, ok
}
