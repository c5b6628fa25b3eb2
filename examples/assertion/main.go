// Command assertion verifies a signed identity assertion of authsvc, as an application does with the header X-Auth-Request-Jwt of each request:
//
//	assertion https://login.example.com https://app.example.com < header
//
// The arguments are public_url of the service and the application's own origin. It prints the claims, or says what is wrong and exits with 1.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// verifier checks assertions. It is safe for concurrent use.
type verifier struct {
	issuer   string // public_url
	audience string // our origin

	mu      sync.Mutex
	keys    jose.JSONWebKeySet
	fetched time.Time
}

// skew is how far the clocks may differ.
const skew = 30 * time.Second

// verify returns the claims of an assertion that is good: of our issuer, for us, and of now.
func (v *verifier) verify(text string) (map[string]any, error) {
	signed, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.ES256}) // this algorithm and no other
	if err != nil {
		return nil, err
	}
	key, err := v.key(signed.Signatures[0].Protected.KeyID)
	if err != nil {
		return nil, err
	}
	payload, err := signed.Verify(key)
	if err != nil {
		return nil, err
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		return nil, err
	}
	expires, _ := claims["exp"].(float64)
	issued, _ := claims["iat"].(float64)
	now := time.Now()
	switch {
	case claims["iss"] != v.issuer:
		return nil, errors.New("of another issuer")
	case claims["aud"] != v.audience:
		return nil, errors.New("for another application")
	case now.After(time.Unix(int64(expires), 0).Add(skew)):
		return nil, errors.New("too old")
	case now.Before(time.Unix(int64(issued), 0).Add(-skew)):
		return nil, errors.New("not of now; compare the clocks")
	}
	return claims, nil
}

// key returns the public key of that name. Keys change seldom: they are asked for when one is unknown, and then at most every ten seconds.
func (v *verifier) key(id string) (jose.JSONWebKey, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if found := v.keys.Key(id); len(found) == 1 {
		return found[0], nil
	}
	if time.Since(v.fetched) > 10*time.Second {
		v.fetched = time.Now()
		client := http.Client{Timeout: 5 * time.Second}
		response, err := client.Get(v.issuer + "/jwks.json")
		if err != nil {
			return jose.JSONWebKey{}, err
		}
		defer response.Body.Close()
		if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&v.keys); err != nil {
			return jose.JSONWebKey{}, err
		}
	}
	if found := v.keys.Key(id); len(found) == 1 {
		return found[0], nil
	}
	return jose.JSONWebKey{}, errors.New("signed with a key that is not published")
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: assertion PUBLIC_URL ORIGIN < header")
		os.Exit(2)
	}
	text, err := io.ReadAll(os.Stdin)
	if err == nil {
		var claims map[string]any
		v := verifier{issuer: os.Args[1], audience: os.Args[2]}
		if claims, err = v.verify(strings.TrimSpace(string(text))); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(claims)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "assertion:", err)
		os.Exit(1)
	}
}
