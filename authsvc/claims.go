package authsvc

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"

	"authsvc/session"
)

// claim finds a claim of a session by its path: first a claim of exactly that name, since names may
// contain dots (namespaced claims are URLs), else a path into nested objects. What the service knows
// first-hand, the subject and its like, cannot be overridden by a claim.
func claim(s *session.Session, path string) any {
	switch path {
	case "sub":
		return s.Subject
	case "iss":
		return s.Issuer
	case "sid":
		return s.ProviderSession
	case "acr":
		return s.ACR
	}
	return lookup(s.Claims, path)
}

func lookup(claims map[string]any, path string) any {
	if v, ok := claims[path]; ok {
		return v
	}
	for i := range len(path) {
		if path[i] != '.' {
			continue
		}
		if nested, ok := claims[path[:i]].(map[string]any); ok {
			if v := lookup(nested, path[i+1:]); v != nil {
				return v
			}
		}
	}
	return nil
}

// claimTexts renders a claim as the values of a list: an array's elements, or the one value. What is
// neither text, number nor bool has no rendering and is left out.
func claimTexts(v any) []string {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var texts []string
	for _, e := range list {
		switch e := e.(type) {
		case string:
			if e != "" {
				texts = append(texts, e)
			}
		case bool:
			texts = append(texts, strconv.FormatBool(e))
		case int64:
			texts = append(texts, strconv.FormatInt(e, 10))
		case float64:
			texts = append(texts, strconv.FormatFloat(e, 'f', -1, 64))
		}
	}
	return texts
}

// groups joins the claims at the paths, in order, each group once.
func groups(s *session.Session, paths []string) []string {
	var all []string
	seen := map[string]bool{}
	for _, path := range paths {
		for _, group := range claimTexts(claim(s, path)) {
			if !seen[group] {
				seen[group] = true
				all = append(all, group)
			}
		}
	}
	return all
}

// decodeClaims reads a JSON object into claims, whole numbers that fit as int64. When a name stands
// twice the last one counts, as it does for every reader of encoding/json.
func decodeClaims(data []byte) (map[string]any, error) {
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.UseNumber()
	var claims map[string]any
	if err := decoder.Decode(&claims); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("there is more behind the JSON object")
	}
	for name, v := range claims {
		claims[name] = plainNumbers(v)
	}
	return claims, nil
}

func plainNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		if f, err := v.Float64(); err == nil && !math.IsInf(f, 0) {
			return f
		}
		return v.String()
	case []any:
		for i := range v {
			v[i] = plainNumbers(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = plainNumbers(v[name])
		}
	}
	return v
}
