package authsvc

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"authsvc/session"
)

const (
	// claimLife is how long a callback cannot be redeemed again: as long as its attempt could live.
	claimLife = attemptLife
	// maxCodes is how many codes one attempt may bring. The first is the rule; the back button leads to the provider's form again, which answers with another
	// one. Whoever makes codes up costs the provider no more requests than these.
	maxCodes = 3
	// claimWait is how long a request waits for the one that redeems its code.
	claimWait = 2 * time.Second
	// claimPoll is how often it looks.
	claimPoll = 50 * time.Millisecond
	// resultLife is how long the result of a login is handed out again to the browser that began it.
	resultLife = time.Minute

	sealResult = "login result"
)

var (
	// errClaimed says that another request of the same browser redeems the code, or has.
	errClaimed = errors.New("another request has claimed the code")
	// errCodesUsed says that the attempt has brought as many codes as it may.
	errCodesUsed = errors.New("the attempt has brought too many codes")
)

// codeClaim is the right to redeem one code, which exactly one request gets however often and wherever the browser
// brings the same callback: providers revoke what they gave when a code comes twice. The others find the result
// in it: the session's token, sealed so that only the browser's login cookie opens it.
//
// An attempt has maxCodes slots, and each code takes the first one that no other code has, so that a code that comes again finds its own.
type codeClaim struct {
	slots session.Slots
	site  *site
	login session.Token
	state string
	code  [32]byte // a hash of state and code, first in whatever the slot holds
	name  session.SlotName
	now   func() time.Time
}

// What a claim holds behind the hash of its code: one of these, and behind claimDone the sealed result.
var (
	claimPending = []byte("p")
	claimFailed  = []byte("f")
	claimDone    = []byte("d")
)

func newCodeClaim(store Backend, site *site, login session.Token, state, code string) *codeClaim {
	return &codeClaim{
		slots: store, site: site, login: login, state: state, now: store.Now,
		code: hashOf([]byte(site.name), []byte(state), []byte(code)),
	}
}

// take tries to get the claim. Errors: errClaimed, errCodesUsed; any other means that nobody knows who has it, so nobody may redeem.
func (c *codeClaim) take(ctx context.Context) error {
	for n := range maxCodes {
		c.name = session.SlotName{Kind: "claim", Hash: hashOf([]byte(c.site.name), []byte(c.state), []byte{byte(n)})}
		holder, won, err := c.slots.Claim(ctx, c.name, c.value(claimPending), claimLife)
		switch {
		case err != nil || won:
			return err
		case bytes.HasPrefix(holder, c.code[:]):
			return errClaimed
		}
	}
	return errCodesUsed
}

// value is what the slot of this code holds in a state.
func (c *codeClaim) value(state []byte) []byte { return slices.Concat(c.code[:], state) }

// publish tells the waiting requests the result. If that fails they begin the login again, which harms nobody.
func (c *codeClaim) publish(ctx context.Context, token session.Token) {
	result := binary.BigEndian.AppendUint64(nil, uint64(c.now().UnixMilli()))
	result = append(result, token.Reveal()...)
	sealed := c.site.keyring.Seal(sealResult, c.login.Secret(), c.code[:], result)
	c.slots.Replace(ctx, c.name, c.value(claimPending), append(c.value(claimDone), sealed...), claimLife)
}

// abandon tells the waiting requests that there will be no result. The claim stays: the code may be spent.
func (c *codeClaim) abandon(ctx context.Context) {
	c.slots.Replace(ctx, c.name, c.value(claimPending), c.value(claimFailed), claimLife)
}

// await returns the result once the winner has published it, or false when there is none to be had.
func (c *codeClaim) await(ctx context.Context) (session.Token, bool) {
	ctx, cancel := context.WithTimeout(ctx, claimWait)
	defer cancel()
	for {
		value, err := c.slots.ReadSlot(ctx, c.name)
		if err != nil {
			return session.Token{}, false
		}
		if sealed, done := bytes.CutPrefix(value, c.value(claimDone)); done {
			return c.open(sealed)
		}
		if !bytes.Equal(value, c.value(claimPending)) {
			return session.Token{}, false
		}
		select {
		case <-ctx.Done():
			return session.Token{}, false
		case <-time.After(claimPoll):
		}
	}
}

func (c *codeClaim) open(sealed []byte) (session.Token, bool) {
	result, err := c.site.keyring.Open(sealResult, c.login.Secret(), c.code[:], sealed)
	if err != nil || len(result) < 8 {
		return session.Token{}, false
	}
	made := time.UnixMilli(int64(binary.BigEndian.Uint64(result)))
	if c.now().Sub(made) > resultLife {
		return session.Token{}, false
	}
	token, err := c.site.keyring.ParseToken(session.PurposeSession, c.site.name, string(result[8:]))
	return token, err == nil
}
