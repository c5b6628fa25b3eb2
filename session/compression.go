package session

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"sync"
)

// compression is DEFLATE (RFC 1951) with a dictionary of what is often written. It is one without headers or sums, since every byte counts and the
// seal tells what was changed: of half a kilobyte it makes less than Zstandard does, whose frames have both.
//
// Compressed lengths can tell of a secret to whoever chooses what stands next to it and sees the length (CRIME). So no secret is ever compressed: see packTokens.
type compression struct {
	// dictionary must never change, since what was written with it is read with it: another one takes another RecordFormat.
	dictionary       []byte
	writers, readers sync.Pool // a writer is more than half a megabyte, a reader 40 kB
}

func newCompression(dictionary string) *compression {
	c := &compression{dictionary: []byte(dictionary)}
	c.writers.New = func() any {
		w, err := flate.NewWriterDict(io.Discard, flate.BestCompression, c.dictionary)
		if err != nil {
			panic(err) // only a level that there is not fails
		}
		return w
	}
	c.readers.New = func() any { return flate.NewReader(bytes.NewReader(nil)) }
	return c
}

// deflate compresses text, which may repeat what is in the dictionary and in context.
func (c *compression) deflate(text, context []byte) []byte {
	w := c.writers.Get().(*flate.Writer)
	defer c.writers.Put(w)
	var b bytes.Buffer
	w.Reset(&b)
	// A flush ends at a byte, so that what follows can stand alone for a reader that knows what came before. None of these fails: a buffer takes
	// everything.
	w.Write(context)
	w.Flush()
	b.Reset()
	w.Write(text)
	w.Close()
	return b.Bytes()
}

// inflate reverses deflate, up to limit bytes. Errors: ErrCorrupt.
func (c *compression) inflate(compressed, context []byte, limit int) ([]byte, error) {
	r := c.readers.Get().(io.ReadCloser)
	defer c.readers.Put(r)
	from := bytes.NewReader(compressed)
	dictionary := append(append(make([]byte, 0, len(c.dictionary)+len(context)), c.dictionary...), context...)
	if err := r.(flate.Resetter).Reset(from, dictionary); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	text, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil || len(text) > limit || from.Len() > 0 {
		return nil, fmt.Errorf("%w: what is compressed does not inflate", ErrCorrupt)
	}
	return text, nil
}
