package session

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"sync"
)

// detailsDictionary is what details look alike in: DEFLATE (RFC 1951) with it makes a third of them. It must never change, since what was written with
// it is read with it: another dictionary would be for details under another purpose.
const detailsDictionary = `@gmail.com@example.orghttps://auth.login.id.sso.keycloak.example.com/realms/main/oauth2/v2.0` +
	`; rv:Gecko/20100101 Firefox/Mozilla/5.0 (X11; Ubuntu; Linux x86_64; Mozilla/5.0 (Linux; Android 10; K) Mobile Safari/537.36 OPR/` +
	`Mozilla/5.0 (iPad; CPU OS Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1` +
	`Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15` +
	`Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0`

// deflaters are kept, since each is more than half a megabyte.
var deflaters = sync.Pool{New: func() any {
	w, err := flate.NewWriterDict(io.Discard, flate.BestCompression, []byte(detailsDictionary))
	if err != nil {
		panic(err) // only a level that there is not fails
	}
	return w
}}

// deflate compresses the plaintext of details.
func deflate(plaintext []byte) []byte {
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	var b bytes.Buffer
	w.Reset(&b)
	w.Write(plaintext) // neither fails: a buffer takes everything
	w.Close()
	return b.Bytes()
}

// inflate reverses deflate. Errors: ErrCorrupt.
func inflate(compressed []byte) ([]byte, error) {
	r := flate.NewReaderDict(bytes.NewReader(compressed), []byte(detailsDictionary))
	plaintext, err := io.ReadAll(io.LimitReader(r, MaxIndexDetails+1))
	if err != nil || len(plaintext) > MaxIndexDetails {
		return nil, fmt.Errorf("%w: details do not inflate", ErrCorrupt)
	}
	return plaintext, nil
}
