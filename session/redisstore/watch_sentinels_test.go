package redisstore

import (
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// slowSentinel answers each question after a delay, or no more when that is negative.
type slowSentinel struct {
	delay    atomic.Int64
	answered time.Time
}

func (s *slowSentinel) serve(c net.Conn, master string) {
	host, port, _ := net.SplitHostPort(master)
	in := newRESPReader(c)
	for {
		if _, err := in.next(nil); err != nil {
			return
		}
		delay := time.Duration(s.delay.Load())
		if delay < 0 {
			continue
		}
		time.Sleep(delay)
		s.answered = time.Now()
		fmt.Fprintf(c, "*2\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(host), host, len(port), port)
	}
}

// Sentinels that take long to answer keep the channel, as a master that does; it ends with the last of them, silence after its last answer.
func TestSlowSentinels(t *testing.T) {
	s := open(t, Options{URL: "redis+sentinel://127.0.0.1:1,127.0.0.1:2/main/0"})
	synctest.Test(t, func(t *testing.T) {
		const master = "127.0.0.1:3"
		f := &feed{}
		c := newChannel(t.Context(), s, f, true)
		c.addresses, c.armed = []string{master}, true
		var fakes []*slowSentinel
		for _, address := range s.location.addresses {
			ours, theirs := net.Pipe()
			defer theirs.Close()
			fake := &slowSentinel{}
			fake.delay.Store(int64(650 * time.Millisecond))
			go fake.serve(theirs, master)
			fakes = append(fakes, fake)
			c.sentinels.wires[address] = &wire{address: address, conn: ours, in: newRESPReader(ours), sure: time.Now()}
		}
		go c.keep()
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if told := f.told(); len(told) > 0 || c.ctx.Err() != nil {
			t.Errorf("told %v while the sentinels are slow", told)
		}
		fakes[0].delay.Store(-1)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if told := f.told(); len(told) > 0 || c.ctx.Err() != nil {
			t.Errorf("told %v while one sentinel answers", told)
		}
		fakes[1].delay.Store(-1)
		<-c.ctx.Done()
		if silent := time.Since(fakes[1].answered); silent > silence {
			t.Errorf("lost when %v were silent", silent)
		}
		if told := f.told(); !slices.Equal(told, []string{"lost"}) {
			t.Errorf("told %v when no sentinel answers", told)
		}
		c.end()
	})
}
