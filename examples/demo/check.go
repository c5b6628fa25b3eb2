package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"slices"
	"strings"
	"time"

	"authsvc/authsvc/idptest"
)

// browser is what the check uses in place of a person's: it keeps cookies and follows redirects.
type browser struct {
	ctx    context.Context
	site   string
	client *http.Client
}

// check signs in as alice, looks around, signs out, ends a replica, and tells what it saw. The error says what is wrong.
func check(ctx context.Context, c *chain) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	b := &browser{ctx, c.url(), &http.Client{Jar: jar, Timeout: 20 * time.Second}}
	for _, step := range []func(*chain) (string, error){b.stranger, b.signIn, b.bothReplicas, b.oneRecord, b.signOut, b.survivor} {
		saw, err := step(c)
		if err != nil {
			return fmt.Errorf("check: %w", err)
		}
		fmt.Println("ok  " + saw)
	}
	return nil
}

// stranger asks without being signed in.
func (b *browser) stranger(*chain) (string, error) {
	answer, err := b.do(http.MethodGet, "/whoami.json", "application/json")
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusUnauthorized {
		return "", fmt.Errorf("a stranger gets %s; want 401", answer.Status)
	}
	return "a stranger gets 401", nil
}

// signIn opens the page, presses alice's button at the provider and comes back.
func (b *browser) signIn(*chain) (string, error) {
	signInPage, err := b.do(http.MethodGet, "/", "text/html")
	if err != nil {
		return "", err
	}
	arrived, err := idptest.Press(b.client, signInPage, "alice")
	if err != nil {
		return "", err
	}
	defer arrived.Body.Close()
	text, err := io.ReadAll(io.LimitReader(arrived.Body, 1<<20))
	if err != nil {
		return "", err
	}
	if arrived.StatusCode != http.StatusOK || arrived.Request.URL.String() != b.site+"/" || !strings.Contains(string(text), "Hello, alice") {
		return "", fmt.Errorf("after the sign-in the browser is at %s with %s; want alice's page at %s/", arrived.Request.URL.Redacted(), arrived.Status, b.site)
	}
	v, err := b.look()
	if err != nil {
		return "", err
	}
	if v.User != "alice" || v.Email != "alice@example.com" || !slices.Equal(v.Groups, []string{"staff", "admins"}) {
		return "", fmt.Errorf("the application hears of %q, %q, groups %q; want alice, alice@example.com, staff and admins", v.User, v.Email, v.Groups)
	}
	return "alice is signed in, with the groups " + v.InGroups(), nil
}

// bothReplicas asks until each replica has answered.
func (b *browser) bothReplicas(c *chain) (string, error) {
	seen := make([]int, len(c.replicas)+1)
	for range 20 {
		v, err := b.look()
		if err != nil {
			return "", err
		}
		seen[v.Replica]++
	}
	if slices.Contains(seen[1:], 0) || seen[0] > 0 {
		return "", fmt.Errorf("of 20 answers %d came from replica 1, %d from replica 2, %d from neither; want both", seen[1], seen[2], seen[0])
	}
	return fmt.Sprintf("both replicas know alice: %d and %d answers", seen[1], seen[2]), nil
}

// oneRecord counts what Redis holds.
func (b *browser) oneRecord(c *chain) (string, error) {
	records, err := c.records(b.ctx)
	if err != nil {
		return "", err
	}
	if records != 1 {
		return "", fmt.Errorf("there are %d session records in Redis; want 1", records)
	}
	return "Redis holds 1 session record", nil
}

// signOut presses the page's button; the provider's session ends too.
func (b *browser) signOut(c *chain) (string, error) {
	left, err := b.do(http.MethodPost, "/logout", "text/html")
	if err != nil {
		return "", err
	}
	defer left.Body.Close()
	if left.StatusCode != http.StatusOK || left.Request.URL.String() != b.site+"/signed_out" {
		return "", fmt.Errorf("after the sign-out the browser is at %s with %s; want %s/signed_out", left.Request.URL.Redacted(), left.Status, b.site)
	}
	for range 2 * len(c.replicas) {
		if _, err := b.stranger(c); err != nil {
			return "", fmt.Errorf("after the sign-out: %w", err)
		}
	}
	records, err := c.records(b.ctx)
	if err != nil {
		return "", err
	}
	if records != 0 || len(c.provider.SessionIDs("alice")) != 0 {
		return "", fmt.Errorf("after the sign-out Redis holds %d session records and the provider %d sessions; want none", records, len(c.provider.SessionIDs("alice")))
	}
	return "alice is signed out: 401 from both replicas, no record in Redis, no session at the provider", nil
}

// survivor signs in again, ends the first replica, and asks the other one.
func (b *browser) survivor(c *chain) (string, error) {
	if _, err := b.signIn(c); err != nil {
		return "", err
	}
	if err := c.replicas[0].stop(); err != nil {
		return "", err
	}
	for range 4 {
		v, err := b.look()
		if err != nil {
			return "", fmt.Errorf("with replica 1 gone: %w", err)
		}
		if v.User != "alice" || v.Replica != 2 {
			return "", fmt.Errorf("with replica 1 gone, replica %d answers for %q; want 2 and alice", v.Replica, v.User)
		}
	}
	return "with replica 1 gone alice stays signed in", nil
}

// look asks the application what it sees.
func (b *browser) look() (view, error) {
	answer, err := b.do(http.MethodGet, "/whoami.json", "application/json")
	if err != nil {
		return view{}, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return view{}, fmt.Errorf("/whoami.json answers %s; want 200", answer.Status)
	}
	if answer.Header.Get("Set-Cookie") != "" {
		return view{}, errors.New("a verdict set a cookie")
	}
	var v view
	return v, json.NewDecoder(answer.Body).Decode(&v)
}

// do asks the site as a browser would, from one of its own pages.
func (b *browser) do(method, path, accept string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(b.ctx, method, b.site+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", accept)
	if method == http.MethodPost {
		request.Header.Set("Origin", b.site)
	}
	return b.client.Do(request)
}
