package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// Proxy stands between a replica and Redis, or the provider, and does what networks do.
type Proxy struct {
	proxy *toxiproxy.Proxy
}

// StartProxy listens on an address of its own, whose port may be 0, in front of another.
func StartProxy(name, listen, upstream string) (*Proxy, error) {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := &Proxy{proxy: toxiproxy.NewProxy(server, name, listen, upstream)}
	if err := p.proxy.Start(); err != nil {
		return nil, fmt.Errorf("a proxy in front of %s: %w", name, err)
	}
	return p, nil
}

// Address is where it listens, Upstream what it stands in front of: each a host and a port.
func (p *Proxy) Address() string  { return p.proxy.Listen }
func (p *Proxy) Upstream() string { return p.proxy.Upstream }

// Directions of what a proxy hurts.
const (
	Questions = "upstream"   // what replicas send
	Answers   = "downstream" // what comes back
)

// Hurt adds a toxic of toxiproxy's: latency {latency, jitter: ms}, timeout {timeout: ms, 0 for ever} which swallows everything, reset_peer {timeout: ms},
// limit_data {bytes}, bandwidth {rate: KB/s}, slicer {average_size, size_variation: bytes, delay: µs}, or one that was registered.
func (p *Proxy) Hurt(direction, kind string, attributes map[string]any) error {
	text, err := json.Marshal(map[string]any{"name": kind + " " + direction, "type": kind, "stream": direction, "attributes": attributes})
	if err != nil {
		return err
	}
	_, err = p.proxy.Toxics.AddToxicJson(bytes.NewReader(text))
	return err
}

// Heal takes all toxics away.
func (p *Proxy) Heal() { p.proxy.Toxics.ResetToxics(context.Background()) }

// Down ends all connections and refuses new ones; Up ends that.
func (p *Proxy) Down() { p.proxy.Stop() }

func (p *Proxy) Up() error { return p.proxy.Start() }
