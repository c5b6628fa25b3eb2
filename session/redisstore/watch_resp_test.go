package redisstore

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"authsvc/session"
)

func TestRESP(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     frame
		keys     []string
	}{
		{"a status", "+OK\r\n", frame{value: "OK"}, nil},
		{"an error", "-NOPERM no\r\n", frame{value: respError("NOPERM no")}, nil},
		{"a long error", "!6\r\nERR no\r\n", frame{value: respError("ERR no")}, nil},
		{"a number", ":-12\r\n", frame{value: int64(-12)}, nil},
		{"a text", "$5\r\na\r\nbc\r\n", frame{value: "a\r\nbc"}, nil},
		{"nothing", "_\r\n", frame{}, nil},
		{"nothing in RESP2", "$-1\r\n", frame{}, nil},
		{"a list", "*2\r\n$1\r\na\r\n*1\r\n:1\r\n", frame{value: []any{"a", []any{int64(1)}}}, nil},
		{"no list in RESP2", "*-1\r\n", frame{}, nil},
		{"a map", "%1\r\n+proto\r\n:3\r\n", frame{value: []any{"proto", int64(3)}}, nil},
		{"a set, a truth, a number", "~3\r\n#t\r\n,1.5\r\n(12\r\n", frame{value: []any{"t", "1.5", "12"}}, nil},
		{"a message", ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$0\r\n\r\n", frame{push: true, value: []any{"message", "c", ""}}, nil},
		{"an invalidation", ">2\r\n$10\r\ninvalidate\r\n*2\r\n$1\r\na\r\n$2\r\n\r\n\r\n", frame{push: true, value: []any{"invalidate", false}}, []string{"a", "\r\n"}},
		{"an invalidation of all", ">2\r\n$10\r\ninvalidate\r\n_\r\n", frame{push: true, value: []any{"invalidate", true}}, nil},
		{"an invalidation of all in RESP2", ">2\r\n$10\r\ninvalidate\r\n*-1\r\n", frame{push: true, value: []any{"invalidate", true}}, nil},
		{
			"a name longer than any of ours", ">2\r\n$10\r\ninvalidate\r\n*2\r\n$70000\r\n" + strings.Repeat("x", 70000) + "\r\n$1\r\na\r\n",
			frame{push: true, value: []any{"invalidate", false}},
			[]string{"a"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// What is read must not hang on where the network cuts it.
			for _, in := range []io.Reader{strings.NewReader(tt.in), iotest.OneByteReader(strings.NewReader(tt.in))} {
				var keys []string
				r := newRESPReader(in)
				got, err := r.next(func(key []byte) { keys = append(keys, string(key)) })
				if err != nil || !reflect.DeepEqual(got, tt.want) || !slices.Equal(keys, tt.keys) {
					t.Errorf("got %#v, keys %q, %v", got, keys, err)
				}
				if _, err := r.next(nil); err != io.EOF {
					t.Errorf("something is left: %v", err)
				}
			}
			if _, err := newRESPReader(strings.NewReader(tt.in[:len(tt.in)-1])).next(func([]byte) {}); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("without its end: %v", err)
			}
		})
	}
}

func TestNoRESP(t *testing.T) {
	for _, in := range []string{
		"HTTP/1.1 400 Bad Request\r\n", "\r\n", "+OK\n", ":1x\r\n", ":\r\n", "$x\r\n", "$1\r\nab\r\n", "$70000\r\n", "*1000000000\r\n", "%4611686018427387904\r\n",
		"%9223372036854775807\r\n", ">0\r\n", ">-1\r\n", ">2\r\n$10\r\ninvalidate\r\n$1\r\na\r\n", ">2\r\n$10\r\ninvalidate\r\n*1\r\n$-1\r\n", ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nabc",
		">2\r\n$10\r\ninvalidate\r\n*1\r\n$9223372036854775807\r\n", strings.Repeat("*1\r\n", 100) + ":1\r\n", "+" + strings.Repeat("x", 70000) + "\r\n",
	} {
		if got, err := newRESPReader(strings.NewReader(in)).next(func([]byte) {}); !errors.Is(err, errProtocol) {
			t.Errorf("%.30q: %v, %v, want errProtocol", in, got, err)
		}
	}
}

// FuzzRESP looks for bytes that a server, or what stands in its place, could send and that are not read to an end.
func FuzzRESP(f *testing.F) {
	for _, seed := range []string{
		"+OK\r\n", ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n", ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$0\r\n\r\n", "%1\r\n+proto\r\n:3\r\n", "-ERR no\r\n!1\r\nx\r\n_\r\n",
		"*1\r\n*3\r\n:0\r\n:5460\r\n*3\r\n$9\r\n127.0.0.1\r\n:7000\r\n$2\r\nid\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := newRESPReader(bytes.NewReader(in))
		named := 0
		for {
			got, err := r.next(func(key []byte) { named += len(key) })
			if err != nil {
				break
			}
			if values, list := got.value.([]any); got.push && (!list || len(values) == 0) {
				t.Fatalf("a push without a kind: %#v", got)
			}
			if addresses, err := namedMasters(got.value, "127.0.0.1:6379"); err == nil && !slices.IsSorted(addresses) {
				t.Fatalf("masters out of order: %q", addresses)
			}
			namedMaster(got.value)
		}
		if named > len(in) {
			t.Fatalf("%d bytes of names in %d bytes", named, len(in))
		}
	})
}

// What is sent reads as what was meant.
func TestAppendCommand(t *testing.T) {
	args := []string{"AUTH", "", "a\r\nb", "ü"}
	got, err := newRESPReader(bufio.NewReader(bytes.NewReader(appendCommand(nil, args...)))).next(nil)
	if want := []any{args[0], args[1], args[2], args[3]}; err != nil || !reflect.DeepEqual(got.value, want) {
		t.Errorf("%#v, %v", got, err)
	}
}

func TestNamedMasters(t *testing.T) {
	node := func(host any, port int64) []any { return []any{host, port, "id"} }
	entry := func(nodes ...any) []any { return append([]any{int64(0), int64(1)}, nodes...) }
	for _, tt := range []struct {
		name, asked string
		reply       any
		want        []string
	}{
		{"masters, sorted, each once", "10.0.0.1:6379", []any{
			entry(node("10.0.0.2", 6379), node("10.0.0.9", 6379)), entry(node("10.0.0.1", 6379)), entry(node("10.0.0.2", 6379)),
		}, []string{"10.0.0.1:6379", "10.0.0.2:6379"}},
		{"an unknown host is the one that was asked", "10.0.0.1:7000", []any{entry(node("", 7000)), entry(node(nil, 7001)), entry(node("?", 7002))},
			[]string{"10.0.0.1:7000", "10.0.0.1:7001", "10.0.0.1:7002"}},
		{"a remote node that calls itself loopback", "10.0.0.1:7000", []any{entry(node("127.0.0.1", 7000))}, []string{"10.0.0.1:7000"}},
		{"a local one", "127.0.0.1:7000", []any{entry(node("127.0.0.1", 7001))}, []string{"127.0.0.1:7001"}},
		{"TLS only", "10.0.0.1:7000", []any{entry(node("10.0.0.2", 0))}, []string{"10.0.0.2:7000"}},
		{"IPv6", "[::1]:7000", []any{entry(node("::1", 7001))}, []string{"[::1]:7001"}},
		{"none", "10.0.0.1:7000", []any{}, []string{}},
	} {
		if got, err := namedMasters(tt.reply, tt.asked); err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
	for _, reply := range []any{[]any{1}, []any{[]any{}}, []any{[]any{int64(0), int64(1), "x"}}, []any{entry(entry()[:1])}} {
		if got, err := namedMasters(reply, "10.0.0.1:7000"); !errors.Is(err, errProtocol) {
			t.Errorf("%v: %q, %v, want errProtocol", reply, got, err)
		}
	}
}

func TestRecordID(t *testing.T) {
	s := &Store{prefix: "a:b"}
	id := session.ID{1, 2, 3}
	if got, ok := s.recordID([]byte(s.recordKeys(id)[0])); !ok || got != id {
		t.Errorf("%v, %v", got, ok)
	}
	for _, key := range []string{s.recordKeys(id)[1], "", "a:b:session:", "a:b:session:{", "a:b:session:{}", "a:b:session:{" + id.String(), "a:b:session:" + id.String(), "a:session:{" + id.String() + "}", "a:b:session:{" + id.String() + "x}"} {
		if _, ok := s.recordID([]byte(key)); ok {
			t.Errorf("%q counts as a record's", key)
		}
	}
}
