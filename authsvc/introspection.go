package authsvc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"authsvc/session"
)

const (
	// introspectionTime bounds one question. A verdict does not wait that long: what comes later is for the next request.
	introspectionTime = 5 * time.Second
	// maxIntrospection bounds an answer, in bytes.
	maxIntrospection = 64 << 10
)

// Results of an introspection, for metrics.
const (
	introspectionActive   = "active"
	introspectionInactive = "inactive"
	introspectionRefused  = "refused" // active, and not for us
	introspectionFailed   = "failed"
)

// ask finds out about a token that is no JWT, from the issuers that tell of such tokens.
func (b *bearers) ask(ctx context.Context, id session.ID, raw string) (*session.Session, *bearerRefusal) {
	v := b.known.ask(ctx, id, func(ctx context.Context) tokenVerdict {
		v := b.introspect(ctx, raw)
		if v.principal != nil {
			b.name(v.principal, id)
		}
		return v
	})
	return v.principal, v.refusal
}

// introspect asks one issuer after the other until one knows the token. While one of them cannot tell, nobody can say that the token is bad.
func (b *bearers) introspect(ctx context.Context, raw string) tokenVerdict {
	refusal := refuseBearer(reasonMalformed, "it is no JWT, and of others nobody can be asked", nil)
	for _, issuer := range b.issuers {
		if issuer.introspection == "" {
			continue
		}
		principal, size, why := issuer.introspect(ctx, raw)
		b.report(introspectionResult(why))
		if why == nil {
			return tokenVerdict{principal: principal, size: size}
		}
		if why.outcome == Unavailable {
			why = cannotTellBearer(reasonAsking, fmt.Errorf("%s: %w", issuer.issuer, why.err))
		}
		if refusal.outcome == Unavailable || refusal.reason != reasonMalformed && why.reason == reasonInactive {
			continue // the first says more
		}
		refusal = why
	}
	return tokenVerdict{refusal: refusal}
}

func introspectionResult(refusal *bearerRefusal) string {
	switch {
	case refusal == nil:
		return introspectionActive
	case refusal.outcome == Unavailable:
		return introspectionFailed
	case refusal.reason == reasonInactive:
		return introspectionInactive
	}
	return introspectionRefused
}

// introspect asks the issuer about a token (RFC 7662, section 2) and holds the answer against what a JWT would be held against.
func (i *bearerIssuer) introspect(ctx context.Context, raw string) (principal *session.Session, size int, refusal *bearerRefusal) {
	ctx, cancel := context.WithTimeout(ctx, introspectionTime)
	defer cancel()
	body, err := i.fetchIntrospection(ctx, raw)
	if err != nil {
		return nil, 0, cannotTellBearer(reasonAsking, err)
	}
	claims, err := decodeClaims(body)
	active, isBool := claims["active"].(bool)
	if err != nil || !isBool {
		return nil, 0, cannotTellBearer(reasonAsking, errors.New("introspection: the answer is no JSON object that says whether the token is active"))
	}
	if !active {
		return nil, 0, refuseBearer(reasonInactive, "its issuer does not know it, or it has ended", nil)
	}
	if iss, has := claims["iss"]; has && iss != i.issuer {
		return nil, 0, refuseBearer(reasonIssuer, "its issuer is none that counts here", gotAndWant("iss", claimTexts(iss), []string{i.issuer}))
	}
	if kind := otherKind(claims, true); kind != "" {
		return nil, 0, refuseBearer(reasonKind, kind, nil)
	}
	for _, name := range []string{"active", "token_type", "token_use"} {
		delete(claims, name)
	}
	parties := append(claimTexts(claims["azp"]), claimTexts(claims["client_id"])...)
	principal, refusal = i.principal(claims, parties)
	return principal, 3 * len(body), refusal
}

func (i *bearerIssuer) fetchIntrospection(ctx context.Context, raw string) ([]byte, error) {
	answer, err := i.postAsClient(ctx, "introspection", i.introspection, url.Values{"token": {raw}, "token_type_hint": {"access_token"}})
	switch {
	case answer != nil && (answer.status == http.StatusUnauthorized || answer.status == http.StatusForbidden):
		return nil, fmt.Errorf("introspection: the answer's status is %d; check the client, and that it may ask about tokens", answer.status)
	case answer != nil && answer.status != http.StatusOK:
		return nil, fmt.Errorf("introspection: the answer's status is %d", answer.status)
	case err != nil:
		return nil, err
	case answer.mediaType != "application/json":
		return nil, errors.New("introspection: the answer is not application/json")
	case len(answer.body) > maxIntrospection:
		return nil, errBodyTooLarge
	}
	return answer.body, nil
}
