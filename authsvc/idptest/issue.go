package idptest

import (
	"crypto/rand"
	"crypto/sha256"
	"maps"
	"slices"
	"strings"
)

// issueTokens signs what was decided and gives the token endpoint's answer.
func (p *Provider) issueTokens(i issue) map[string]any {
	signer := p.keys.signing()
	token := p.accessToken(signer, i)
	answer := map[string]any{
		"token_type":   "Bearer",
		"access_token": token,
		"expires_in":   int64(p.options.AccessTokenLife.Seconds()),
		"scope":        strings.Join(i.scopes, " "),
	}
	if slices.Contains(i.scopes, "openid") && !i.noIDToken {
		answer["id_token"] = p.idToken(signer, i, token)
	}
	if i.refreshToken != "" {
		answer["refresh_token"] = i.refreshToken
		if p.options.RefreshTokenLife > 0 {
			answer["refresh_expires_in"] = int64(p.options.RefreshTokenLife.Seconds())
		}
	}
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	p.state.sweep(i.now)
	p.state.access[sha256.Sum256([]byte(token))] = &accessToken{
		grant: i.family, scopes: i.scopes, expires: i.now.Add(p.options.AccessTokenLife),
	}
	return answer
}

// idToken is the ID token (Core section 2); the hooks have their say before and after the signature.
func (p *Provider) idToken(signer *key, i issue, accessToken string) string {
	client := i.grant.client
	claims := map[string]any{}
	if p.options.ClaimsIn != ClaimsInUserinfo {
		shape := &p.options.Shape
		maps.Copy(claims, shape.about(shape.IDToken, personClaims(i.person, i.scopes), i.person, client, i.scopes))
	}
	maps.Copy(claims, map[string]any{
		"iss":       p.options.Issuer,
		"sub":       i.person.Subject,
		"aud":       client.ID,
		"exp":       i.now.Add(p.options.AccessTokenLife).Unix(),
		"iat":       i.now.Unix(),
		"auth_time": i.grant.authTime.Unix(),
		"at_hash":   signer.atHash(accessToken),
		"sid":       i.grant.sid,
	})
	if i.nonce != "" {
		claims["nonce"] = i.nonce
	}
	if i.grant.acr != "" {
		claims["acr"] = i.grant.acr
	}
	if len(client.ExtraAudiences) > 0 {
		claims["aud"] = append([]string{client.ID}, client.ExtraAudiences...)
		claims["azp"] = client.ID
	}
	p.options.Shape.sign(claims, client)
	header := signer.header("JWT")

	p.hooks.mu.RLock()
	change, replace := p.hooks.idToken, p.hooks.signed
	p.hooks.mu.RUnlock()
	if change != nil {
		change(header, claims)
	}
	conduct := p.hooks.conduct(i.person.Subject)
	if conduct.IDToken != nil {
		conduct.IDToken(header, claims)
	}
	signed := signer.sign(mustJSON(header), mustJSON(claims))
	if replace != nil {
		signed = replace(signed, claims)
	}
	if conduct.SignedIDToken != nil {
		signed = conduct.SignedIDToken(signed, claims)
	}
	return signed
}

// accessToken is a JWT as RFC 9068 has it, padded to a realistic length.
func (p *Provider) accessToken(signer *key, i issue) string {
	shape := &p.options.Shape
	if shape.OpaqueTokens {
		return rand.Text()
	}
	claims := map[string]any{
		"iss":       p.options.Issuer,
		"sub":       i.person.Subject,
		"aud":       i.grant.client.ID,
		"client_id": i.grant.client.ID,
		"exp":       i.now.Add(p.options.AccessTokenLife).Unix(),
		"iat":       i.now.Unix(),
		"auth_time": i.grant.authTime.Unix(),
		"jti":       rand.Text(),
		"sid":       i.grant.sid,
		"scope":     strings.Join(i.scopes, " "),
	}
	honest := map[string]any{}
	if len(i.person.Groups) > 0 {
		honest["groups"] = i.person.Groups
	}
	maps.Copy(claims, shape.about(shape.AccessToken, honest, i.person, i.grant.client, i.scopes))
	head := signer.header("at+jwt")
	p.hooks.mu.RLock()
	change := p.hooks.accessToken
	p.hooks.mu.RUnlock()
	if change != nil {
		change(head, claims)
	}
	header, payload := mustJSON(head), mustJSON(claims)
	have := len(encode(header)) + len(encode(payload)) + signer.signatureLength() + 2
	if missing := p.options.AccessTokenBytes - have; missing > 0 {
		claims["padding"] = strings.Repeat("x", missing*3/4+1)
		payload = mustJSON(claims)
	}
	return signer.sign(header, payload)
}

// personClaims are the claims about a person that the scopes open (Core section 5.4). Groups and the
// person's own claims belong to no standard scope and come always.
func personClaims(person Person, scopes []string) map[string]any {
	claims := map[string]any{}
	if slices.Contains(scopes, "email") && person.Email != "" {
		claims["email"] = person.Email
		claims["email_verified"] = person.EmailVerified
	}
	if slices.Contains(scopes, "profile") {
		if person.Name != "" {
			claims["name"] = person.Name
		}
		if person.PreferredUsername != "" {
			claims["preferred_username"] = person.PreferredUsername
		}
	}
	if len(person.Groups) > 0 {
		claims["groups"] = slices.Clone(person.Groups)
	}
	maps.Copy(claims, person.Claims)
	return claims
}
