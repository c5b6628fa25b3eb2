package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// proxy stands between the replicas and Redis and misbehaves on request.
type proxy struct {
	listener net.Listener
	server   string // of Redis
	serving  sync.WaitGroup

	mu      sync.Mutex
	error   string // every command is answered with it
	silent  bool   // nothing is answered
	cut     int    // connections break after this many bytes of an answer
	clients map[net.Conn]bool
}

// newProxy starts one in front of server. It ends with the test.
func newProxy(t *testing.T, server string) *proxy {
	p := &proxy{listener: listenOn(t, "127.0.0.1:0"), server: server, clients: map[net.Conn]bool{}}
	t.Cleanup(func() {
		p.close()
		p.serving.Wait()
	})
	l := p.listener
	p.serving.Go(func() { p.accept(l) })
	return p
}

// close refuses connections from now on, and breaks those that there are.
func (p *proxy) close() {
	p.listener.Close()
	p.disconnect()
}

// reopen takes connections again, on the same port.
func (p *proxy) reopen(t *testing.T) {
	p.listener = listenOn(t, p.address())
	l := p.listener
	p.serving.Go(func() { p.accept(l) })
}

func (p *proxy) accept(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.clients[client] = true
		p.mu.Unlock()
		p.serving.Go(func() { p.serve(client) })
	}
}

func (p *proxy) address() string { return p.listener.Addr().String() }

// behave sets what is wrong from now on, on old connections too, unless an answer is under way.
func (p *proxy) behave(error string, silent bool, cut int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.error, p.silent, p.cut = error, silent, cut
}

func (p *proxy) behaviour() (error string, silent bool, cut int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.error, p.silent, p.cut
}

// disconnect closes every connection.
func (p *proxy) disconnect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for client := range p.clients {
		client.Close()
	}
}

// serve passes one client's commands on, one by one, and the answers back.
func (p *proxy) serve(client net.Conn) {
	defer func() {
		client.Close()
		p.mu.Lock()
		delete(p.clients, client)
		p.mu.Unlock()
	}()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	commands, answers := bufio.NewReader(client), bufio.NewReader(server)
	for {
		command, err := readValue(commands)
		if err != nil {
			return
		}
		reply, silent, cut := p.behaviour()
		switch {
		case silent:
			continue
		case reply != "":
			reply = "-" + reply + "\r\n"
		default:
			if _, err := io.WriteString(server, command); err != nil {
				return
			}
			if reply, err = readValue(answers); err != nil {
				return
			}
			if cut > 0 && cut < len(reply) {
				io.WriteString(client, reply[:cut])
				return
			}
		}
		if _, err := io.WriteString(client, reply); err != nil {
			return
		}
	}
}

// readValue reads one value of RESP2 as it is on the wire.
func readValue(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	if !strings.ContainsRune("*$", rune(line[0])) {
		return line, nil
	}
	n, err := strconv.Atoi(strings.TrimSpace(line[1:]))
	if err != nil {
		return "", fmt.Errorf("a value that begins with %q", line)
	}
	value := line
	if line[0] == '$' && n >= 0 {
		text := make([]byte, n+2)
		_, err = io.ReadFull(r, text)
		value += string(text)
	}
	for range n {
		if line[0] != '*' || err != nil {
			break
		}
		var part string
		part, err = readValue(r)
		value += part
	}
	return value, err
}
