package lbproxy

import (
	"encoding/json"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// ownHandlers are the handlers of Caddy that understand the answers of reverse_proxy alone, and the handlers of
// this package that do the same with the answers of lb_proxy.
var ownHandlers = map[string]string{
	"copy_response":         "lb_copy_response",
	"copy_response_headers": "lb_copy_response_headers",
}

// proxies are the handlers that have such routes of their own. The one of Caddy needs the handlers of Caddy in
// them, and lb_proxy replaces them itself.
var proxies = map[string]bool{"reverse_proxy": true, "lb_proxy": true}

// provisionHandleResponse sets up the routes for answers. Their configuration names Caddy's handlers, so that it
// is the same as for reverse_proxy; here the names are changed, before the modules are loaded.
func (h *Handler) provisionHandleResponse(ctx caddy.Context) error {
	for i := range h.HandleResponse {
		rh := &h.HandleResponse[i]
		if err := replaceHandlers(rh.Routes); err != nil {
			return fmt.Errorf("handle_response %d: %w", i+1, err)
		}
		if err := rh.Provision(ctx); err != nil {
			return fmt.Errorf("handle_response %d: %w", i+1, err)
		}
	}
	return nil
}

func replaceHandlers(routes caddyhttp.RouteList) error {
	for _, route := range routes {
		for i, raw := range route.HandlersRaw {
			replaced, _, err := replaceNames(raw)
			if err != nil {
				return err
			}
			route.HandlersRaw[i] = replaced
		}
	}
	return nil
}

// replaceNames changes the names in one JSON value and everything in it, and reports whether there were any. A
// value without them is returned as it is.
func replaceNames(raw json.RawMessage) (json.RawMessage, bool, error) {
	switch firstByte(raw) {
	case '{':
		return replaceInObject(raw)
	case '[':
		return replaceInArray(raw)
	default:
		return raw, false, nil
	}
}

func replaceInObject(raw json.RawMessage) (json.RawMessage, bool, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil {
		return nil, false, err
	}
	changed := false
	var name string
	if json.Unmarshal(object["handler"], &name) == nil {
		if proxies[name] {
			return raw, false, nil
		}
		if own, ok := ownHandlers[name]; ok {
			object["handler"] = json.RawMessage(`"` + own + `"`)
			changed = true
		}
	}
	for key, value := range object {
		replaced, inner, err := replaceNames(value)
		if err != nil {
			return nil, false, err
		}
		if inner {
			object[key] = replaced
			changed = true
		}
	}
	return encodeChanged(raw, object, changed)
}

func replaceInArray(raw json.RawMessage) (json.RawMessage, bool, error) {
	var array []json.RawMessage
	if err := json.Unmarshal(raw, &array); err != nil {
		return nil, false, err
	}
	changed := false
	for i, value := range array {
		replaced, inner, err := replaceNames(value)
		if err != nil {
			return nil, false, err
		}
		array[i] = replaced
		changed = changed || inner
	}
	return encodeChanged(raw, array, changed)
}

func encodeChanged(raw json.RawMessage, value any, changed bool) (json.RawMessage, bool, error) {
	if !changed {
		return raw, false, nil
	}
	encoded, err := json.Marshal(value)
	return encoded, true, err
}

// firstByte is the first byte of a JSON value, or 0 for an empty one.
func firstByte(raw json.RawMessage) byte {
	for _, b := range raw {
		switch b {
		case ' ', '\t', '\r', '\n':
		default:
			return b
		}
	}
	return 0
}
