package filter

import (
	"crypto/tls"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// refusal is the status that a client is refused with, 0 for none.
func refusal(t *testing.T, c *Chain, client, remote string) int {
	t.Helper()
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = remote
	return statusOf(t, c.EarlyRequest(newRouted(t, r, client).Context))
}

func TestIPDecides(t *testing.T) {
	allow, deny := &AddressList{Ranges: []string{"10.0.0.0/8", "2001:db8::/32"}}, &AddressList{Ranges: []string{"10.1.0.0/16"}}
	for _, test := range []struct {
		client      string
		allow, deny *AddressList
		want        int
	}{
		{"10.2.0.1", allow, nil, 0},
		{"::ffff:10.2.0.1", allow, nil, 0},
		{"2001:db8::1%eth0", allow, nil, 0},
		{"192.0.2.1", allow, nil, 403},
		{"", allow, nil, 403},
		{"@", allow, nil, 403},
		{"10.1.0.1", allow, deny, 403},
		{"10.2.0.1", allow, deny, 0},
		{"192.0.2.1", nil, deny, 0},
		{"10.1.0.1", nil, deny, 403},
		{"10.1.0.1:80", nil, deny, 403},
		{"", nil, deny, 0},
		{"192.0.2.1", new(AddressList), nil, 403},
	} {
		c := chainOf(t, &IP{Allow: test.allow, Deny: test.deny})
		if got := refusal(t, c, test.client, "203.0.113.1:1"); got != test.want {
			t.Errorf("%q with allow %v and deny %v: %d, want %d", test.client, test.allow, test.deny, got, test.want)
		}
	}
}

func TestIPBy(t *testing.T) {
	c := chainOf(t, &IP{Deny: &AddressList{Ranges: []string{"203.0.113.1", "fe80::1"}}, By: "remote_ip", Status: 451})
	for remote, want := range map[string]int{"203.0.113.1:1": 451, "[fe80::1%eth0]:1": 451, "192.0.2.1:1": 0, "@": 0} {
		if got := refusal(t, c, "192.0.2.1", remote); got != want {
			t.Errorf("from %s: %d, want %d", remote, got, want)
		}
	}
}

func TestIPOfAnUnfinishedHandshake(t *testing.T) {
	c := chainOf(t, &IP{Deny: new(AddressList)})
	r := httptest.NewRequest("GET", "https://example.com/", nil)
	r.TLS = new(tls.ConnectionState)
	if got := statusOf(t, c.EarlyRequest(newRouted(t, r, "192.0.2.1").Context)); got != 425 {
		t.Error(got)
	}
}

// list writes a file of the test's, by replacing it as editors do.
func list(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until cond holds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("gave up waiting: %s", what)
		}
	}
}

func TestIPFileIsWatched(t *testing.T) {
	path := filepath.Join(t.TempDir(), "blocked")
	list(t, path, "192.0.2.1\n")
	f := &IP{Deny: &AddressList{Ranges: []string{"198.51.100.1"}, Files: []string{path}}, interval: time.Millisecond}
	c := chainOf(t, f)
	refused := func(client string) bool { return refusal(t, c, client, "") == 403 }
	if !refused("192.0.2.1") || !refused("198.51.100.1") || refused("192.0.2.2") {
		t.Error("the list does not hold")
	}
	list(t, path, "192.0.2.2\n")
	eventually(t, "the new list", func() bool { return refused("192.0.2.2") && !refused("192.0.2.1") })
	if err := os.WriteFile(path, []byte("192.0.2.3"), 0o600); err != nil { // in place, and as long
		t.Fatal(err)
	}
	eventually(t, "the list written in place", func() bool { return refused("192.0.2.3") && !refused("192.0.2.2") })
	if !refused("198.51.100.1") {
		t.Error("what is not in the file is gone")
	}
}

func TestIPFileKeepsTheLastGoodList(t *testing.T) {
	path := filepath.Join(t.TempDir(), "allowed")
	list(t, path, "192.0.2.1\n")
	source, err := (&AddressList{Files: []string{path}}).open()
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.InfoLevel)
	logger := zap.New(core)
	for _, spoil := range []func(){
		func() { list(t, path, "192.0.2.2\n\nnonsense\n") },
		func() { os.Remove(path) },
	} {
		spoil()
		for range 4 {
			if source.refresh(logger) {
				t.Error("a bad file is taken")
			}
		}
		if got := source.set(); len(got) != 1 || got[0].String() != "192.0.2.1/32" {
			t.Errorf("the set is %v", got)
		}
		if all := logs.TakeAll(); len(all) != 1 || all[0].Level != zap.ErrorLevel {
			t.Errorf("logged %v", all)
		}
	}
	list(t, path, "192.0.2.2\n")
	if source.refresh(logger) {
		t.Error("a file is taken that may still be written")
	}
	if !source.refresh(logger) || source.refresh(logger) || source.set()[0].String() != "192.0.2.2/32" {
		t.Errorf("the set is %v", source.set())
	}
	if all := logs.TakeAll(); len(all) != 1 || all[0].Level != zap.InfoLevel {
		t.Errorf("logged %v", all)
	}
}

func TestIPCaddyfile(t *testing.T) {
	var f IP
	err := parse(&f, "ip {\n allow 10.0.0.0/8 file a.txt\n allow private_ranges {env.X}\n deny 10.0.0.1 file b.txt file c.txt\n status 404\n by remote_ip\n}")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(f.Allow.Ranges, " "); got != "10.0.0.0/8 private_ranges {env.X}" || f.Allow.Files[0] != "a.txt" {
		t.Errorf("allow %+v", f.Allow)
	}
	if f.Deny.Ranges[0] != "10.0.0.1" || len(f.Deny.Files) != 2 || f.Status != 404 || f.By != "remote_ip" {
		t.Errorf("%+v", f.Deny)
	}
	for text, want := range map[string]string{
		"ip":                                  "refuses nobody",
		"ip 10.0.0.1":                         "unexpected argument '10.0.0.1'",
		"ip {\n status 404\n}":                "refuses nobody",
		"ip {\n allow\n}":                     "allow lacks its addresses",
		"ip {\n deny file\n}":                 "write 'deny file <path>'",
		"ip {\n deny 10.0.0.0/33\n}":          "'10.0.0.0/33' is neither an address nor a CIDR prefix",
		"ip {\n deny ::1\n status 200\n}":     "'200' is no status of a refusal",
		"ip {\n deny ::1\n status x\n}":       "'x' is no status of a refusal",
		"ip {\n deny ::1\n by header\n}":      "'header' is no address of a request",
		"ip {\n deny ::1\n refuse ::2\n}":     "there is no option 'refuse'",
		"ip {\n status 404\n status 405\n}":   "status is set already",
		"ip {\n by client_ip\n by ::1\n}":     "by is set already",
		"ip {\n deny ::1\n status 404 405\n}": "unexpected argument '405'",
	} {
		wantError(t, parse(new(IP), text), text, want)
	}
}

func TestIPDoesNotLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "blocked")
	list(t, path, "192.0.2.1\n# a comment\n192.0.2.256\n")
	for _, test := range []struct {
		f    *IP
		want string
	}{
		{new(IP), "refuses nobody"},
		{&IP{Deny: &AddressList{Ranges: []string{"x"}}}, "deny: 'x' is neither"},
		{&IP{Deny: &AddressList{Files: []string{path}}}, path + ":3: '192.0.2.256' is neither"},
		{&IP{Allow: &AddressList{Files: []string{path + "."}}}, "no such file"},
		{&IP{Deny: new(AddressList), Status: 200}, "status is 200"},
		{&IP{Deny: new(AddressList), By: "header"}, "by is 'header'"},
	} {
		if err := load(t, test.f); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v, want %q", err, test.want)
		}
	}
}
