package main

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"authsvc/e2e/rig"
)

func TestChoose(t *testing.T) {
	for only, want := range map[string]string{"": "2 3 4 5 6 7 8 9 10 11", "4,7": "4 7", "1,2": "2", "12": "error", "4,": "error"} {
		chosen, err := choose(flags{users: fewest, slowUsers: 1, atOnce: 1, only: only})
		var numbers []string
		for _, s := range chosen {
			numbers = append(numbers, s.number)
		}
		if got := strings.Join(numbers, " "); err == nil && got != want || err != nil && want != "error" {
			t.Errorf("-only %q: %q, %v; want %q", only, got, err, want)
		}
	}
	if _, err := choose(flags{users: 1, slowUsers: 1, atOnce: 1}); err == nil {
		t.Error("one person passes")
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 15000: "15,000", -1234: "-1,234", -123: "-123", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%d is written %s, want %s", n, got, want)
		}
	}
}

// A wrong count fails its row, and the table says so.
func TestRowFails(t *testing.T) {
	r := &row{Number: "9", What: "a row", Incumbent: incumbentFast}
	r.expect("records", 2, 2)
	if len(r.Failures) > 0 {
		t.Errorf("what was wanted fails: %v", r.Failures)
	}
	r.expect("records", 30000, 15000)
	var seen tally
	p := &person{Person: rig.Person{Name: "alice"}}
	for _, a := range []rig.Answer{{Status: http.StatusOK, User: "alice"}, {Status: http.StatusOK, User: "bob"}, {Status: http.StatusServiceUnavailable}} {
		seen.add(p, func(context.Context) (rig.Answer, error) { return a, nil })(t.Context())
	}
	r.count(&seen)
	if r.Non200 != 1 || r.Requests != 3 || len(r.Failures) != 2 {
		t.Errorf("a row with a wrong count, another's identity and a 503 is %+v", r)
	}
	var table strings.Builder
	writeTable(&table, []*row{r})
	for _, text := range []string{"FAILED: records: 30,000, expected 15,000", `FAILED: 1 answers took a person for another: alice was taken for "bob"`, "1,437"} {
		if !strings.Contains(table.String(), text) {
			t.Errorf("the table does not say %q:\n%s", text, table.String())
		}
	}
}

// However long an act takes, each person's second act begins when it is ripe, and within the window.
func TestTide(t *testing.T) {
	for _, takes := range []time.Duration{time.Millisecond, 50 * time.Millisecond, 400 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			const wait, window = 10 * time.Second, 10 * time.Second
			people := make([]*person, 1000)
			for i := range people {
				people[i] = &person{}
			}
			var early, late, done int
			tide := &tide{
				people: people, window: window, progress: func(n int) { done = n },
				ripe:  func(p *person) time.Time { return p.SignedIn.Add(wait) },
				first: func(ctx context.Context, p *person) { rig.Pass(ctx, time.Now().Add(takes/4)); p.SignedIn = time.Now() },
			}
			tide.second = func(ctx context.Context, p *person) {
				tide.mu.Lock()
				if age := time.Since(p.SignedIn); age < wait {
					early++
				} else if age > wait+window {
					late++
				}
				tide.mu.Unlock()
				rig.Pass(ctx, time.Now().Add(takes))
			}
			tide.run(t.Context())
			// Until it has seen the machine, the tide can only guess: a slow one may leave some of the first people late.
			if early > 0 || late > 200 || done != len(people) {
				t.Errorf("acts of %v: %d done, %d too early, %d too late", takes, done, early, late)
			}
		})
	}
}
