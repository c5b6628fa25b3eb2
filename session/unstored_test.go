package session_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"authsvc/session"
	"authsvc/session/memstore"
)

// stubborn is a store of which one record cannot be deleted.
type stubborn struct {
	*memstore.Store
	id session.ID
}

func (s *stubborn) Delete(ctx context.Context, id session.ID) error {
	if id == s.id {
		return errCut
	}
	return s.Store.Delete(ctx, id)
}

// What cannot be deleted keeps nothing else alive, nor does a mark that cannot be left.
func TestEndGroupGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New(nil)
		m, link := listing(t, store, 1)
		var tokens []session.Token
		for range 5 {
			token, _ := begin(t, m)
			tokens = append(tokens, token)
			time.Sleep(time.Second)
		}
		m.Store = &stubborn{Store: store, id: tokens[1].ID()}
		m.Endings = nil
		group := session.Group{Kind: session.KindUser, Issuer: jane.Issuer, Value: jane.Subject}
		if found, err := m.EndGroup(t.Context(), group); found != 5 || !errors.Is(err, errCut) {
			t.Errorf("%d found, error %v", found, err)
		}
		for i, token := range tokens {
			if lives(t, m, token) != (i == 1) {
				t.Errorf("session %d", i)
			}
		}
		m.Store = store
		link.before(failing("claim", "replace")) // a full memory
		if found, err := m.EndGroup(t.Context(), group); found != 1 || !errors.Is(err, errCut) {
			t.Errorf("%d found, error %v", found, err)
		}
		if lives(t, m, tokens[1]) {
			t.Error("it lives since no mark could be left")
		}
	})
}

// A session that has been noted and is about to be stored stays on its list, whoever ends others meanwhile: what lives must be on a list.
func TestNotedAndNotStored(t *testing.T) {
	for name, meanwhile := range map[string]func(*testing.T, *session.Manager){
		"the cap": func(t *testing.T, m *session.Manager) {
			m.MaxPerUser = 1
			_, s := begin(t, m)
			if err := m.KeepNewest(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		},
		"a logout": func(t *testing.T, m *session.Manager) {
			if _, err := m.EndGroup(t.Context(), session.Group{Kind: session.KindUser, Issuer: jane.Issuer, Value: jane.Subject}); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memstore.New(nil)
				m, link := listing(t, store, 1)
				other, _ := listing(t, store, 1)
				waits := make(chan struct{})
				link.before(func(operation string) error {
					if operation == "create" {
						<-waits
					}
					return nil
				})
				var token session.Token
				go func() { token, _ = begin(t, m) }()
				time.Sleep(time.Second)
				meanwhile(t, other)
				close(waits)
				synctest.Wait()
				if !lives(t, other, token) {
					t.Fatal("it does not live; the test proves nothing")
				}
				found, err := other.EndGroup(t.Context(), session.Group{Kind: session.KindUser, Issuer: jane.Issuer, Value: jane.Subject})
				if err != nil || lives(t, other, token) {
					t.Errorf("it lives where no logout by user finds it (%d found, %v)", found, err)
				}
			})
		})
	}
}
