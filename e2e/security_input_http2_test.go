package e2e

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// TestSecurityInputHTTP2 floods a listener with TLS by what HTTP/2 has for it. A connection can have no more than so many requests under way, whatever it takes back,
// and send no more header than another; others are served meanwhile.
func TestSecurityInputHTTP2(t *testing.T) {
	s := newStack(t, options{noReplica: true})
	s.listenWithTLS()
	r := newReplica(t, s.settings)
	r.awaitReady()

	// The test trusts nobody: it only floods.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: patience}
	served := func(t *testing.T) {
		t.Helper()
		answer, err := client.Get("https://" + r.address + "/auth")
		check(t, err)
		answer.Body.Close()
		if answer.StatusCode != http.StatusUnauthorized || answer.ProtoMajor != 2 {
			t.Errorf("somebody else gets %s %s", answer.Proto, answer.Status)
		}
	}
	served(t)
	before := sizeOf(r)

	t.Run("F47_rapid_reset", func(t *testing.T) {
		c := newFlood(t, r.address)
		if c.streams == 0 || c.streams > 250 {
			t.Errorf("%d streams at once are allowed", c.streams)
		}
		sent := 0
		for stream := uint32(1); sent < 20_000; stream += 2 {
			if c.headers(stream, true) != nil || c.framer.WriteRSTStream(stream, http2.ErrCodeCancel) != nil {
				break
			}
			if sent++; sent%5000 == 0 {
				served(t)
			}
		}
		if got := sizeOf(r); got.goroutines > before.goroutines+600 {
			t.Errorf("%+v after %d requests that were taken back; before %+v", got, sent, before)
		}
		served(t)
	})
	t.Run("F47_CONTINUATION", func(t *testing.T) {
		c := newFlood(t, r.address)
		check(t, c.headers(1, false))
		sent := 0
		for c.framer.WriteContinuation(1, false, c.field("x-a", strings.Repeat("a", 8000))) == nil {
			if sent += 8000; sent > 1<<30 {
				t.Fatalf("%d bytes of a header without an end are taken", sent)
			}
		}
		served(t)
	})
	t.Run("F46_header_by_reference", func(t *testing.T) {
		c := newFlood(t, r.address)
		// One long field, and then a byte each time that it is meant again (CVE-2016-6581, the "HPACK bomb").
		c.block.Reset()
		c.request()
		long := hpack.HeaderField{Name: "x-a", Value: strings.Repeat("a", 3000)}
		for range 10_000 {
			check(t, c.encoder.WriteField(long))
		}
		block := c.block.Bytes()
		check(t, c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndStream: true, EndHeaders: true}))
		if status := c.status(t); status != "431" && status != "" {
			t.Errorf("30 MB of header in %d bytes get %s", len(block), status)
		}
		served(t)
	})
	transport.CloseIdleConnections()
	before.holds(t, r)
}

// flood is a connection of somebody who speaks HTTP/2 and means no good.
type flood struct {
	framer  *http2.Framer
	encoder *hpack.Encoder
	block   bytes.Buffer
	streams uint32 // that the server allows at once
	conn    *tls.Conn
}

func newFlood(t *testing.T, address string) *flood {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	check(t, err)
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	_, err = io.WriteString(conn, http2.ClientPreface)
	check(t, err)
	f := &flood{framer: http2.NewFramer(conn, conn), conn: conn}
	f.encoder = hpack.NewEncoder(&f.block)
	check(t, f.framer.WriteSettings())
	frame, err := f.framer.ReadFrame()
	check(t, err)
	if settings, ok := frame.(*http2.SettingsFrame); ok {
		f.streams, _ = settings.Value(http2.SettingMaxConcurrentStreams)
	}
	check(t, f.framer.WriteSettingsAck())
	return f
}

// request encodes what every request has.
func (f *flood) request() {
	for _, field := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "a"}, {":path", "/auth"}} {
		f.encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
	}
}

func (f *flood) headers(stream uint32, end bool) error {
	f.block.Reset()
	f.request()
	return f.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: f.block.Bytes(), EndStream: true, EndHeaders: end})
}

// field encodes a field that nobody needs to remember.
func (f *flood) field(name, value string) []byte {
	f.block.Reset()
	f.encoder.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: true})
	return f.block.Bytes()
}

// status reads the answer's, "" where there is none.
func (f *flood) status(t *testing.T) (status string) {
	t.Helper()
	decoder := hpack.NewDecoder(4096, func(field hpack.HeaderField) {
		if field.Name == ":status" {
			status = field.Value
		}
	})
	for {
		frame, err := f.framer.ReadFrame()
		if err != nil {
			return status
		}
		switch frame := frame.(type) {
		case *http2.HeadersFrame:
			if _, err := decoder.Write(frame.HeaderBlockFragment()); err != nil {
				t.Fatal(fmt.Errorf("the answer's header: %w", err))
			}
			return status
		case *http2.GoAwayFrame, *http2.RSTStreamFrame:
			return status
		}
	}
}
