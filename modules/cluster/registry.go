package cluster

import "github.com/caddyserver/caddy/v2"

// clients holds every client that a configuration uses, by its target, so that a reload finds it connected.
var clients = caddy.NewUsagePool()

// acquire takes a reference to the client for a target. Each call is followed by one release.
func acquire(t *target) (*client, error) {
	v, _, err := clients.LoadOrNew(t.key, func() (caddy.Destructor, error) { return newClient(t), nil })
	if err != nil {
		return nil, err
	}
	return v.(*client), nil
}

// release gives a reference back, and closes the connections with the last.
func release(c *client) error {
	_, err := clients.Delete(c.target.key)
	return err
}
