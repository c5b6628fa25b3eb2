package redisstore

import (
	"cmp"
	"errors"
	"slices"
	"testing"

	"authsvc/session/storetest"
)

// The rights that doc.go names for a user of sentinels are enough, and each of them is used: the sentinels deny something to who lacks it.
func TestRightsAtSentinelsAreTheNarrowest(t *testing.T) {
	g := storetest.StartSentinel(t)
	all := named(t, `ACL SETUSER authsvc on >password (resetchannels &\+switch-master .*)\n`)
	// as asks the sentinels as a user who lacks a right.
	as := func(t *testing.T, lacks string) error {
		given := slices.DeleteFunc(slices.Clone(all), func(right string) bool { return right == lacks })
		for _, one := range g.Sentinels {
			one.Do(append([]any{"ACL", "SETUSER", "narrow", "reset", "on", ">pass"}, anys(given)...)...)
			one.Do("ACL", "LOG", "RESET")
		}
		s := open(t, Options{URL: g.URL + "?sentinel_user=narrow&sentinel_password=pass"})
		return cmp.Or(s.SelfTest(t.Context()), watchOnce(t.Context(), s, true))
	}
	denied := func() error {
		for _, one := range g.Sentinels {
			if log := one.Do("ACL", "LOG").([]any); len(log) > 0 {
				return nil
			}
		}
		return errors.New("nothing was denied")
	}
	t.Run("all", func(t *testing.T) {
		if err := as(t, ""); err != nil || denied() == nil {
			t.Errorf("with all rights: %v, denied: %t", err, denied() == nil)
		}
	})
	for _, right := range all[1:] {
		t.Run("without "+right, func(t *testing.T) {
			as(t, right) // which works in some cases: who lacks the right to hear of new masters or other sentinels goes on without, later
			storetest.WaitFor(t, "something to be denied", denied)
		})
	}
}

func anys(texts []string) (values []any) {
	for _, text := range texts {
		values = append(values, text)
	}
	return values
}
