package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// proxy stands between a replica and Redis, or the provider, and does what networks do.
type proxy struct {
	proxy *toxiproxy.Proxy
}

// startProxy listens on an address of its own, whose port may be 0, in front of another.
func startProxy(name, listen, upstream string) (*proxy, error) {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := &proxy{proxy: toxiproxy.NewProxy(server, name, listen, upstream)}
	if err := p.proxy.Start(); err != nil {
		return nil, fmt.Errorf("a proxy in front of %s: %w", name, err)
	}
	return p, nil
}

func (p *proxy) address() string { return p.proxy.Listen }

// Directions of what a proxy hurts.
const (
	questions = "upstream"   // what replicas send
	answers   = "downstream" // what comes back
)

// hurt adds a toxic of toxiproxy's: latency {latency, jitter: ms}, timeout {timeout: ms, 0 for ever} which swallows everything, reset_peer {timeout: ms},
// limit_data {bytes}, bandwidth {rate: KB/s}, slicer {average_size, size_variation: bytes, delay: µs}, or one of ours.
func (p *proxy) hurt(direction, kind string, attributes map[string]any) error {
	text, err := json.Marshal(map[string]any{"name": kind + " " + direction, "type": kind, "stream": direction, "attributes": attributes})
	if err != nil {
		return err
	}
	_, err = p.proxy.Toxics.AddToxicJson(bytes.NewReader(text))
	return err
}

// heal takes all toxics away.
func (p *proxy) heal() { p.proxy.Toxics.ResetToxics(context.Background()) }

// down ends all connections and refuses new ones; up ends that.
func (p *proxy) down() { p.proxy.Stop() }

func (p *proxy) up() error { return p.proxy.Start() }
