package lbproxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/caddylb/caddy-lb/lb"
)

// order is what the admin API is asked to do with a backend.
type order struct {
	drain      *bool // nil: leave it as it is
	weight     *int  // nil: leave it as it is
	takeWeight bool  // back to the configured one
}

// maxOrder bounds the bytes of an order.
const maxOrder = 64 << 10

// orderForms says how orders are written.
const orderForms = `write {"drain": true}, {"weight": 5} or {"weight": null}`

// readOrder reads an order. Errors say which field is wrong, what it is, and what it may be.
func readOrder(body io.Reader) (*order, error) {
	text, err := io.ReadAll(io.LimitReader(body, maxOrder+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the order: %w", err)
	case len(text) > maxOrder:
		return nil, fmt.Errorf("the order is longer than %d bytes: %s", maxOrder, orderForms)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil || fields == nil {
		return nil, fmt.Errorf("the order is %s, and not a JSON object: %s", quoted(text), orderForms)
	}
	if len(fields) == 0 {
		return nil, errors.New("the order is empty: " + orderForms)
	}
	o := new(order)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		var err error
		switch value := fields[name]; name {
		case "drain":
			err = o.readDrain(value)
		case "weight":
			err = o.readWeight(value)
		default:
			err = fmt.Errorf("there is no field %q: there are \"drain\" and \"weight\"", name)
		}
		if err != nil {
			return nil, err
		}
	}
	return o, nil
}

func (o *order) readDrain(value json.RawMessage) error {
	switch string(value) {
	case "true", "false":
		drain := string(value) == "true"
		o.drain = &drain
		return nil
	}
	return fmt.Errorf("drain is %s: write true, or false to take it back", quoted(value))
}

func (o *order) readWeight(value json.RawMessage) error {
	if string(value) == "null" {
		o.takeWeight = true
		return nil
	}
	weight, err := strconv.Atoi(string(value))
	if err != nil || weight < 0 || weight > lb.MaxWeight {
		return fmt.Errorf("weight is %s: write a whole number from 0 to %d, or null to have the configured weight again", quoted(value), lb.MaxWeight)
	}
	o.weight = &weight
	return nil
}

// maxQuoted bounds the bytes of what errors show of an order.
const maxQuoted = 100

// quoted is text for an error.
func quoted(text []byte) string {
	text = bytes.TrimSpace(text)
	switch {
	case len(text) == 0:
		return "empty"
	case len(text) > maxQuoted:
		return string(bytes.ToValidUTF8(text[:maxQuoted], nil)) + "…"
	}
	return string(bytes.ToValidUTF8(text, nil))
}
