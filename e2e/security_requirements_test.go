package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// owed is what a relying party owes, by the number that it has in the project's list, and the test of it, which gets a stack of its group
// and leaves everybody on it as they were.
type owed struct {
	name string
	test func(*testing.T, *stack)
}

// hold tests each requirement of a group.
func hold(t *testing.T, s *stack, group []owed) {
	for _, r := range group {
		t.Run(r.name, func(t *testing.T) {
			s.in(t)
			r.test(t, s)
		})
	}
}

// in has the stack tell a subtest what goes wrong, until that ends.
func (s *stack) in(t *testing.T) {
	outer := s.t
	s.t = t
	t.Cleanup(func() { s.t = outer })
}

// TestSecurityRequirementsOfLogoutAndSession: each has its named test, once.
func TestSecurityRequirementsOfLogoutAndSession(t *testing.T) {
	numbers := map[string]int{}
	for _, r := range slices.Concat(logoutRequirements, sessionRequirements) {
		number, _, _ := strings.Cut(r.name, "_")
		numbers[number]++
	}
	want := map[string]int{}
	for n := 28; n <= 44; n++ {
		want[fmt.Sprintf("Q%d", n)] = 1
	}
	if !maps.Equal(numbers, want) {
		t.Errorf("tested are %v", numbers)
	}
}
