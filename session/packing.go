package session

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// A token is stored by what it is, in CBOR: text of base64url as the bytes that it stands for, which are a quarter less; a JWS (RFC 7515, section 7.1) and
// whatever else is such texts with points between them as an array of its parts; and any other text as it is. A part that is a JSON object, which
// headers and claims are, is the length of its text instead, and the texts of all tokens are compressed together, since they tell the same things.
//
// No secret is among these texts: what makes a token worth stealing is its signature, or that nobody can guess it, and both stay as they are. So whoever can
// choose a name that stands in somebody's claims, and see how long the record is, learns nothing but what the provider says of them.
type packedToken any // []byte, string, or []any of []byte and int64

// maxParts is how many parts a token has at most to be stored by them: those of a JWE.
const maxParts = 5

var strictBase64URL = base64.RawURLEncoding.Strict()

// packToken returns what stands for a token, and the texts that it has put aside appended to texts.
func packToken(token string, texts []byte) (packedToken, []byte) {
	if token == "" {
		return nil, texts
	}
	encoded := strings.Split(token, ".")
	if len(encoded) > maxParts || strings.ContainsAny(token, "\r\n") { // the decoder passes over line ends
		return token, texts
	}
	parts := make([]any, len(encoded))
	kept := texts
	for i, text := range encoded {
		part, err := strictBase64URL.DecodeString(text)
		switch {
		case err != nil:
			return token, kept
		case len(encoded) > 1 && len(part) > 1 && part[0] == '{' && part[len(part)-1] == '}':
			parts[i], texts = int64(len(part)), append(texts, part...)
		default:
			parts[i] = part
		}
	}
	if len(parts) == 1 {
		return parts[0], texts
	}
	return parts, texts
}

// unpackToken reverses packToken, and returns the texts that are left. Errors: ErrCorrupt.
func unpackToken(packed packedToken, texts []byte) (token string, left []byte, err error) {
	wrong := fmt.Errorf("%w: a token is not in parts", ErrCorrupt)
	switch packed := packed.(type) {
	case nil:
		return "", texts, nil
	case string:
		return packed, texts, nil
	case []byte:
		return strictBase64URL.EncodeToString(packed), texts, nil
	case []any:
		if len(packed) < 2 || len(packed) > maxParts {
			return "", nil, wrong
		}
		encoded := make([]string, len(packed))
		for i, part := range packed {
			switch part := part.(type) {
			case []byte:
				encoded[i] = strictBase64URL.EncodeToString(part)
			case int64:
				if part < 0 || part > int64(len(texts)) {
					return "", nil, wrong
				}
				encoded[i], texts = strictBase64URL.EncodeToString(texts[:part]), texts[part:]
			default:
				return "", nil, wrong
			}
		}
		return strings.Join(encoded, "."), texts, nil
	}
	return "", nil, wrong
}

// tokensDictionary is what the texts of tokens look alike in.
const tokensDictionary = `"locale":"en","picture":"https://","updated_at":17,"zoneinfo":"Europe/","phone_number":"+","login_hint":"","rh":"","uti":"","tid":"","oid":"","ver":"2.0"` +
	`,"hd":"","org_id":"","org_name":"","federated_claims":{"connector_id":"","user_id":""},"nickname":"","groups_direct":["developers","engineering","everyone"]` +
	`,"upn":"","unique_name":"","appid":"","idp":"https://","amr":["pwd","mfa","otp"],"scp":["openid","profile","email"],"cid":"","uid":""` +
	`,"client_id":"","roles":["user","admin"],"groups":["staff","admins","users"],"allowed-origins":["https://"]` +
	`,"resource_access":{"account":{"roles":["manage-account","manage-account-links","view-profile"]}},"realm_access":{"roles":["default-roles-","offline_access","uma_authorization"]}` +
	`,"scope":"openid profile email offline_access groups","family_name":"","given_name":"","name":"","preferred_username":"","email_verified":false,"email_verified":true,"email":"@example.com"` +
	`,"azp":"","typ":"Refresh","typ":"Bearer","typ":"ID","acr":"0","acr":"1","session_state":"","sid":"","c_hash":"","at_hash":"","nonce":"","jti":"","sub":"","aud":"account"` +
	`,"auth_time":18,"nbf":17,"iat":18,"exp":18,"iss":"https://login.microsoftonline.com/","iss":"https://accounts.google.com","iss":"https://.okta.com","iss":"https://.auth0.com/"` +
	`,"iss":"https://gitlab.com","iss":"https://sso.keycloak.auth.login.id.example.com/realms/{"alg":"HS512","typ":"JWT","kid":"{"alg":"RS256","typ":"at+jwt","kid":"{"alg":"ES256","kid":"` +
	`{"typ":"JWT","alg":"RS256","x5t":"{"alg":"RS256","typ" : "JWT","kid" : "`

var tokenTexts = newCompression(tokensDictionary)
