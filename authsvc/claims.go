package authsvc

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"authsvc/session"
)

// firstHand are the claims that a session has fields for: no source of claims can override them.
var firstHand = []string{"sub", "iss", "sid", "acr"}

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

// lookup is claim for the claims alone. A path that meets a list goes on in each of the objects in it.
func lookup(claims map[string]any, path string) any {
	if v, ok := claims[path]; ok {
		return v
	}
	for i := range len(path) {
		if path[i] != '.' {
			continue
		}
		switch nested := claims[path[:i]].(type) {
		case map[string]any:
			if v := lookup(nested, path[i+1:]); v != nil {
				return v
			}
		case []any:
			if v := lookupEach(nested, path[i+1:]); v != nil {
				return v
			}
		}
	}
	return nil
}

// lookupEach returns what the objects of a list have at a path, as one list; nil when none has anything.
func lookupEach(list []any, path string) any {
	var found []any
	for _, e := range list {
		object, _ := e.(map[string]any)
		switch v := lookup(object, path).(type) {
		case nil:
		case []any:
			found = append(found, v...)
		default:
			found = append(found, v)
		}
	}
	if found == nil {
		return nil
	}
	return found
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
		path, words := groupsPath(path)
		for _, group := range groupTexts(claim(s, path), words) {
			if !seen[group] {
				seen[group] = true
				all = append(all, group)
			}
		}
	}
	return all
}

// groupTexts returns the groups that a claim has: the elements of a list; the one that a text, number or bool is; the names of an object's
// members, as Zitadel tells roles, but for those that are false or null; or, with words, what stands between the spaces of a text.
func groupTexts(v any, words bool) []string {
	switch v := v.(type) {
	case map[string]any:
		return slices.DeleteFunc(slices.Sorted(maps.Keys(v)), func(name string) bool { return v[name] == nil || v[name] == false })
	case string:
		if words {
			return strings.Fields(v)
		}
	}
	return claimTexts(v)
}

// groupsPath reads an entry of oidc.groups_claim. A text is one group, since names of groups may have spaces, and one name must not be taken for
// two others. It is split into words where that is what it means: in scope and scp (RFC 8693, section 4.2), and where the entry says
// so, as "split(roles)".
func groupsPath(entry string) (path string, words bool) {
	if inner, ok := strings.CutPrefix(entry, "split("); ok {
		if inner, ok := strings.CutSuffix(inner, ")"); ok {
			return inner, true
		}
	}
	last := entry[strings.LastIndexByte(entry, '.')+1:]
	return entry, last == "scope" || last == "scp"
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

// sizeOf estimates the memory of a claim in bytes.
func sizeOf(v any) int {
	const header, slot = 16, 40 // of a string or a slice; of an entry in a map
	switch v := v.(type) {
	case string:
		return header + len(v)
	case []any:
		n := header
		for _, e := range v {
			n += header + sizeOf(e)
		}
		return n
	case map[string]any:
		n := 2 * header
		for key, e := range v {
			n += slot + len(key) + sizeOf(e)
		}
		return n
	}
	return 8
}
