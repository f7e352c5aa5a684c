// Package lb is what a load balancer is: backends with the state that belongs to them, pools that publish
// immutable snapshots of their backends, and the contract between a pool and the policy that picks from it.
//
// It knows neither Caddy nor HTTP. A caller builds [Member] values for the backends it configures, gives them
// to a [Pool], and for each request walks the tiers of [Pool.Snapshot], asks each tier's [Picker] for a member
// and leases it with [Member.Acquire].
//
// Picking reads one atomic pointer. Everything that can change what may be picked (a check that flips, a
// drain, a discovery) builds a new snapshot off the request path.
package lb
