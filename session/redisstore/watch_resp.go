package redisstore

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// respReader reads what a server says on a connection of the push channel, in RESP3 or RESP2 (https://redis.io/docs/latest/develop/reference/protocol-spec/).
//
// go-redis reads pushes, too, but its PubSub connects again by itself before it tells of a loss, takes a refused HELLO for RESP2, in which tracking is accepted
// and tells nothing, and builds every push in memory, where one can name 100,000 keys. Here their names are handed on as they come.
type respReader struct {
	in *bufio.Reader
	// left bounds the values of one frame.
	left int
}

// What a server may say that is not a push: the longest is CLUSTER SLOTS.
const (
	maxBulk   = 64 << 10
	maxValues = 1 << 18
	maxDepth  = 8
)

func newRESPReader(r io.Reader) *respReader {
	return &respReader{in: bufio.NewReaderSize(r, 16<<10)}
}

// respError is an error reply, as redis.Error.
type respError string

func (e respError) Error() string { return string(e) }
func (e respError) RedisError()   {}

var errProtocol = errors.New("the server does not speak RESP")

// frame is one thing that a server says: a reply (string, int64, nil, []any or respError), or a push, whose first value is its kind.
type frame struct {
	push  bool
	value any
}

const kindInvalidate = "invalidate"

// next reads a frame. The keys that a push of kind invalidate names are given to changed, each valid during the call only, and are not part
// of the frame, whose second value tells whether all keys are meant.
func (r *respReader) next(changed func(key []byte)) (frame, error) {
	r.left = maxValues
	kind, head, err := r.head()
	if err != nil {
		return frame{}, err
	}
	if kind != '>' {
		value, err := r.value(kind, head, 0)
		return frame{value: value}, err
	}
	if head < 1 {
		return frame{}, errProtocol
	}
	first, err := r.nested(1)
	if err != nil {
		return frame{}, err
	}
	if first == kindInvalidate && head == 2 {
		all, err := r.keys(changed)
		return frame{push: true, value: []any{first, all}}, err
	}
	values := []any{first}
	for range head - 1 {
		value, err := r.nested(1)
		if err != nil {
			return frame{}, err
		}
		values = append(values, value)
	}
	return frame{push: true, value: values}, nil
}

// keys reads the names of an invalidation.
func (r *respReader) keys(changed func(key []byte)) (all bool, err error) {
	kind, n, err := r.head()
	if err != nil {
		return false, err
	}
	if kind == '_' || kind == '*' && n < 0 {
		return true, nil
	}
	if kind != '*' {
		return false, errProtocol
	}
	for range n {
		kind, size, err := r.head()
		if err != nil {
			return false, err
		}
		if kind != '$' || size < 0 {
			return false, errProtocol
		}
		if size > 512<<20 { // the longest that Redis takes
			return false, errProtocol
		}
		if size+2 <= int64(r.in.Size()) {
			key, err := r.in.Peek(int(size) + 2)
			if err != nil {
				return false, err
			}
			if string(key[size:]) != "\r\n" {
				return false, errProtocol
			}
			changed(key[:size])
		}
		// A name that does not fit is none of ours, whatever it begins with.
		if _, err := r.in.Discard(int(size) + 2); err != nil {
			return false, err
		}
	}
	return false, nil
}

// head reads the first line of a value: its type, and the number of a type that has one. The text of the others is left to line.
func (r *respReader) head() (kind byte, n int64, err error) {
	if kind, err = r.in.ReadByte(); err != nil {
		return 0, 0, err
	}
	switch kind {
	case '$', '*', '>', '%', '~', ':', '=', '!':
		text, err := r.line()
		if err != nil {
			return 0, 0, err
		}
		if n, err = strconv.ParseInt(string(text), 10, 64); err != nil {
			return 0, 0, errProtocol
		}
	case '_':
		_, err = r.line()
	}
	return kind, n, err
}

func (r *respReader) line() ([]byte, error) {
	line, err := r.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) || err == nil && (len(line) < 2 || line[len(line)-2] != '\r') {
		return nil, errProtocol
	}
	if err != nil {
		return nil, err
	}
	return line[:len(line)-2], nil
}

func (r *respReader) nested(depth int) (any, error) {
	kind, n, err := r.head()
	if err != nil {
		return nil, err
	}
	return r.value(kind, n, depth)
}

// value reads the rest of a value behind its head.
func (r *respReader) value(kind byte, n int64, depth int) (any, error) {
	if r.left--; r.left < 0 || depth > maxDepth {
		return nil, fmt.Errorf("%w: an answer has no end", errProtocol)
	}
	switch kind {
	case ':':
		return n, nil
	case '_':
		return nil, nil
	case '+', '-', '#', ',', '(':
		text, err := r.line()
		if kind == '-' {
			return respError(text), err
		}
		return string(text), err
	case '$', '=', '!':
		return r.bulk(kind, n)
	case '*', '~', '%':
		if n < 0 {
			return nil, nil
		}
		if kind == '%' {
			n *= 2
		}
		if n < 0 || n > int64(r.left) {
			return nil, errProtocol
		}
		values := []any{}
		for range n {
			value, err := r.nested(depth + 1)
			if err != nil {
				return nil, err
			}
			values = append(values, value)
		}
		return values, nil
	}
	return nil, errProtocol
}

func (r *respReader) bulk(kind byte, size int64) (any, error) {
	if size < 0 {
		return nil, nil
	}
	if size > maxBulk {
		return nil, fmt.Errorf("%w: a value is too long", errProtocol)
	}
	text := make([]byte, size+2)
	if _, err := io.ReadFull(r.in, text); err != nil {
		return nil, err
	}
	if string(text[size:]) != "\r\n" {
		return nil, errProtocol
	}
	if kind == '!' {
		return respError(text[:size]), nil
	}
	return string(text[:size]), nil
}

// appendCommand appends a command as a client sends it.
func appendCommand(b []byte, args ...string) []byte {
	b = fmt.Appendf(b, "*%d\r\n", len(args))
	for _, arg := range args {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(arg), arg)
	}
	return b
}
