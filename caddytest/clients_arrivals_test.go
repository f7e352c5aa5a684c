package caddytest

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// Who has connected before a reload and asks as it is under way is answered, while others are answered by the new configuration.
func TestReloadAwaitsFirstRequests(t *testing.T) {
	b := NewBackends(t, "A")
	s := Start(t, clientsSite, addresses(b...))
	edition := 0
	for port, ask := range map[string]func(net.Conn) error{"PORT": askPlain, "PORT2": askSecure} {
		// A busy machine may take longer for one attempt than is waited for.
		err := errors.New("not tried")
		for attempt := 0; err != nil && attempt < 5; attempt++ {
			edition++
			err = s.askWithin(t, edition, port, ask)
		}
		if err != nil {
			t.Errorf("%s: %v", port, err)
		}
	}
}

// askWithin opens a connection, loads another configuration, and asks on the connection once that one answers others.
func (s *Server) askWithin(t *testing.T, edition int, port string, ask func(net.Conn) error) error {
	conn, err := net.Dial("tcp", "127.0.0.1:"+s.vars[port])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s.reached(s.URL("PORT", "/")) // what came before has been accepted
	var reload sync.WaitGroup
	reload.Go(func() { s.mustReload(marked(edition)) })
	defer reload.Wait()
	eventually(t, "the new configuration answers", func() bool {
		c := newClient(t)
		defer c.CloseIdleConnections()
		r, err := fetch(c, newRequest(t, http.MethodGet, s.URL("PORT", "/"), ""))
		return err == nil && r.Header.Get("X-Config") == fmt.Sprint(edition)
	})
	_ = conn.SetDeadline(time.Now().Add(patience()))
	return ask(conn)
}

func askPlain(conn net.Conn) error {
	if _, err := fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return err
}

func askSecure(conn net.Conn) error {
	return askPlain(tls.Client(conn, &tls.Config{ServerName: "localhost", InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}))
}
