package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"authsvc/session"
)

// sentinels is what those of the URL say about the master while a channel lives.
//
// Nobody else can be asked: after SENTINEL FAILOVER the old master lives on for seconds, keeps its connections and still takes itself for the master, while writers
// have moved, each when it hears so from the sentinel that it asked first. So a single one that names another master ends the channel, and all that
// answer must agree before there is one.
type sentinels struct {
	channel *channel

	mu sync.Mutex
	// wires are those that answer, by address.
	wires map[string]*wire
	// confirmed is the latest sign of life of those that do not any more.
	confirmed time.Time
	closed    bool
}

var (
	errDisagree   = errors.New("the sentinels name different masters")
	errNoSentinel = errors.New("no sentinel answers")
)

func (s *sentinels) name() []string {
	return []string{"SENTINEL", "GET-MASTER-ADDR-BY-NAME", s.channel.store.location.master}
}

// open connects to the sentinels and returns the address that all that answer name.
func (s *sentinels) open(ctx context.Context) (master string, err error) {
	type answer struct {
		wire  *wire
		named string
		err   error
	}
	addresses := s.channel.store.location.addresses
	answers := make([]answer, len(addresses))
	var asking sync.WaitGroup
	for i, address := range addresses {
		asking.Go(func() {
			answers[i].err = session.Catch(func() (err error) {
				answers[i].wire, answers[i].named, err = s.dial(ctx, address)
				return err
			})
		})
	}
	asking.Wait()
	for _, a := range answers {
		switch {
		case a.err != nil:
			err = a.err
			continue
		case master != "" && master != a.named:
			return "", errDisagree
		}
		master = a.named
	}
	if master == "" {
		return "", fmt.Errorf("%w: %w", errNoSentinel, err)
	}
	return master, nil
}

// dial connects to a sentinel, subscribes to its news, and asks it.
func (s *sentinels) dial(ctx context.Context, address string) (w *wire, named string, err error) {
	store := s.channel.store
	w, err = store.dialWire(ctx, "tcp", address, store.location.sentinelUser, store.location.sentinelPassword)
	if err != nil {
		return nil, "", err
	}
	if w.resp2 {
		w.conn.Close()
		return nil, "", errors.New("a sentinel without RESP3 cannot be asked while it is listened to")
	}
	if _, err = w.call(ctx, "SUBSCRIBE", "+switch-master"); err == nil {
		named, err = s.ask(ctx, w)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && s.closed {
		err = net.ErrClosed
	}
	if err != nil {
		w.conn.Close()
		return nil, "", err
	}
	s.wires[address] = w
	return w, named, nil
}

// ask waits for a sentinel's answer.
func (s *sentinels) ask(ctx context.Context, w *wire) (named string, err error) {
	asked := time.Now()
	reply, err := w.call(ctx, s.name()...)
	if err != nil {
		return "", err
	}
	named, err = namedMaster(reply)
	if err == nil {
		w.mu.Lock()
		w.sure = asked
		w.mu.Unlock()
	}
	return named, err
}

func namedMaster(reply any) (string, error) {
	pair, _ := reply.([]any)
	if len(pair) != 2 {
		return "", errors.New("a sentinel does not know the master")
	}
	host, _ := pair[0].(string)
	port, _ := pair[1].(string)
	return net.JoinHostPort(host, port), nil
}

// confirm asks again those that have answered.
func (s *sentinels) confirm(ctx context.Context, master string) error {
	var asking sync.WaitGroup
	var mu sync.Mutex
	var wrong error
	for address, w := range s.present() {
		asking.Go(func() {
			var named string
			err := session.Catch(func() (err error) {
				named, err = s.ask(ctx, w)
				return err
			})
			mu.Lock()
			defer mu.Unlock()
			_, panicked := errors.AsType[*session.PanicError](err)
			switch {
			case panicked:
				wrong = err
			case err != nil:
				s.drop(address)
			case named != master:
				wrong = errMoved
			}
		})
	}
	asking.Wait()
	if wrong == nil && len(s.present()) == 0 {
		wrong = errNoSentinel
	}
	return wrong
}

// present returns those that answer.
func (s *sentinels) present() map[string]*wire {
	s.mu.Lock()
	defer s.mu.Unlock()
	wires := map[string]*wire{}
	for address, w := range s.wires {
		wires[address] = w
	}
	return wires
}

func (s *sentinels) drop(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.wires[address]; w != nil {
		w.conn.Close()
		if sure := w.sureUntil(); sure.After(s.confirmed) {
			s.confirmed = sure
		}
		delete(s.wires, address)
	}
}

// close ends all connections, and with them the reading.
func (s *sentinels) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	for address := range s.present() {
		s.drop(address)
	}
}

// follow listens to one sentinel as long as the channel lives, connecting again when need be. The channel ends with the last that answers: each is given up
// when it was silent for silence, as a master is.
func (s *sentinels) follow(ctx context.Context, address, master string) {
	for ctx.Err() == nil {
		w := s.present()[address]
		if w == nil {
			var named string
			var err error
			if w, named, err = s.dial(ctx, address); err == nil && named != master {
				s.channel.lose(errMoved)
			}
		}
		if w != nil {
			w.listen(nil, s.told, func(reply any) error {
				named, err := namedMaster(reply)
				if err == nil && named != master {
					s.channel.lose(errMoved)
				}
				return err
			})
			s.drop(address)
			if len(s.present()) == 0 {
				s.channel.lose(errNoSentinel)
			}
		}
		pause(ctx, checkInterval)
	}
}

// told ends the channel when a sentinel says that the master was switched. The message is the master's name, and its old and new host and port.
func (s *sentinels) told(values []any) {
	if len(values) != 3 || values[0] != "message" {
		return
	}
	message, _ := values[2].(string)
	if name, _, _ := strings.Cut(message, " "); name == s.channel.store.location.master {
		s.channel.lose(errMoved)
	}
}

// sure returns the oldest sign of life of those that answer, or the latest of those that did.
func (s *sentinels) sure() (oldest time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.wires {
		if sure := w.sureUntil(); oldest.IsZero() || sure.Before(oldest) {
			oldest = sure
		}
	}
	if oldest.IsZero() {
		return s.confirmed
	}
	return oldest
}
