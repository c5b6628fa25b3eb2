package authsvc

import (
	"bytes"
	"context"
	"encoding/binary"
	"time"

	"authsvc/session"
)

const (
	// claimLife is how long a callback cannot be redeemed again: as long as its attempt could live.
	claimLife = attemptLife
	// claimWait is how long a request waits for the one that redeems its code.
	claimWait = 2 * time.Second
	// claimPoll is how often it looks.
	claimPoll = 50 * time.Millisecond
	// resultLife is how long the result of a login is handed out again to the browser that began it.
	resultLife = time.Minute

	sealResult = "login result"
)

// codeClaim is the right to redeem one code, which exactly one request gets however often and wherever the browser
// brings the same callback: providers revoke what they gave when a code comes twice. The others find the result
// in it: the session's token, sealed so that only the browser's login cookie opens it.
type codeClaim struct {
	slots session.Slots
	site  *site
	login session.Token
	name  session.SlotName
	now   func() time.Time
}

// What a claim holds: one of these, and behind claimDone the sealed result.
var (
	claimPending = []byte("p")
	claimFailed  = []byte("f")
	claimDone    = []byte("d")
)

func newCodeClaim(store Backend, site *site, login session.Token, state, code string) *codeClaim {
	name := session.SlotName{Kind: "claim", Hash: hashOf([]byte(site.name), []byte(state), []byte(code))}
	return &codeClaim{slots: store, site: site, login: login, name: name, now: store.Now}
}

// take tries to get the claim. An error means that nobody knows who has it, so nobody may redeem.
func (c *codeClaim) take(ctx context.Context) (won bool, err error) {
	_, won, err = c.slots.Claim(ctx, c.name, claimPending, claimLife)
	return won, err
}

// publish tells the waiting requests the result. If that fails they begin the login again, which harms nobody.
func (c *codeClaim) publish(ctx context.Context, token session.Token) {
	result := binary.BigEndian.AppendUint64(nil, uint64(c.now().UnixMilli()))
	result = append(result, token.Reveal()...)
	sealed := c.site.keyring.Seal(sealResult, c.login.Secret(), c.name.Hash[:], result)
	c.slots.Replace(ctx, c.name, claimPending, append(bytes.Clone(claimDone), sealed...), claimLife)
}

// abandon tells the waiting requests that there will be no result. The claim stays: the code may be spent.
func (c *codeClaim) abandon(ctx context.Context) {
	c.slots.Replace(ctx, c.name, claimPending, claimFailed, claimLife)
}

// await returns the result once the winner has published it, or false when there is none to be had.
func (c *codeClaim) await(ctx context.Context) (session.Token, bool) {
	ctx, cancel := context.WithTimeout(ctx, claimWait)
	defer cancel()
	for {
		value, err := c.slots.ReadSlot(ctx, c.name)
		if err != nil || bytes.Equal(value, claimFailed) {
			return session.Token{}, false
		}
		if sealed, done := bytes.CutPrefix(value, claimDone); done {
			return c.open(sealed)
		}
		select {
		case <-ctx.Done():
			return session.Token{}, false
		case <-time.After(claimPoll):
		}
	}
}

func (c *codeClaim) open(sealed []byte) (session.Token, bool) {
	result, err := c.site.keyring.Open(sealResult, c.login.Secret(), c.name.Hash[:], sealed)
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
