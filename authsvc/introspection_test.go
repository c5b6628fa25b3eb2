package authsvc

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/maypok86/otter/v2"

	"authsvc/authsvc/idptest"
	"authsvc/session"
)

// introspections is how often the issuer was asked.
func (b *bearerRig) introspections() int { return b.issuer.Count(idptest.Introspection) }

func TestIntrospection(t *testing.T) {
	b := newBearerRig(t, 1, nil)
	token := b.opaque()
	for range 10 {
		if answer := b.bring(token); answer.Code != http.StatusOK || answer.Header().Get("X-Auth-Request-User") != "batch" || answer.Header().Get("X-Token") != token {
			t.Fatalf("%d %v\n%s", answer.Code, answer.Header(), b.log)
		}
	}
	for range 10 {
		if answer := b.bring("unknown"); answer.Code != http.StatusUnauthorized {
			t.Fatalf("%d", answer.Code)
		}
	}
	if n := b.introspections(); n != 2 {
		t.Errorf("the issuer was asked %d times about two tokens", n)
	}
	asked := b.issuer.Requests(idptest.Introspection)[0]
	if form := asked.Form; form.Get("token") != token || form.Get("token_type_hint") != "access_token" || asked.Header.Get("Authorization") == "" {
		t.Errorf("it was asked %v %v", form, asked.Header)
	}
	if n := b.store.commands.Load(); n != 0 {
		t.Errorf("the store was asked %d times", n)
	}
	b.shows(0, `authsvc_introspections_total{result="active"} 1`, `authsvc_introspections_total{result="inactive"} 1`,
		`authsvc_decisions_total{outcome="allow",reason="bearer"} 10`, `authsvc_decisions_total{outcome="login",reason="bearer_inactive"} 10`)

	// What is remembered ends; a token that has been revoked passes no longer than that.
	b.issuer.EditIntrospection(func(answer map[string]any) { clear(answer); answer["active"] = false })
	b.advance(bearerMemory - time.Second)
	if answer := b.bring(token); answer.Code != http.StatusOK {
		t.Errorf("before the memory ends: %d", answer.Code)
	}
	b.advance(time.Second)
	if answer := b.bring(token); answer.Code != http.StatusUnauthorized {
		t.Errorf("a revoked token: %d", answer.Code)
	}
	b.issuer.EditIntrospection(nil)
	b.advance(refusalMemory)
	if answer := b.bring(token); answer.Code != http.StatusOK {
		t.Errorf("once it is good again: %d", answer.Code)
	}
}

// TestIntrospectionAnswers holds what an issuer says of an active token against the entry.
func TestIntrospectionAnswers(t *testing.T) {
	b := newBearerRig(t, 1, nil)
	set := func(name string, value any) func(map[string]any) {
		return func(a map[string]any) {
			if a[name] = value; value == nil {
				delete(a, name)
			}
		}
	}
	for name, test := range map[string]struct {
		edit func(map[string]any)
		want string
	}{
		"as it is":             {func(map[string]any) {}, ""},
		"no end":               {set("exp", nil), ""},
		"no issuer":            {set("iss", nil), ""},
		"no subject":           {set("sub", nil), ""},
		"no type":              {set("token_type", nil), ""},
		"type in other words":  {set("token_type", "bearer"), ""},
		"several audiences":    {set("aud", []string{"x", testAudience}), ""},
		"by client_id":         {func(a map[string]any) { a["aud"], a["client_id"], a["sub"] = nil, "batch-api", "batch" }, ""},
		"another issuer":       {set("iss", "https://id.example.com"), reasonIssuer},
		"another audience":     {set("aud", "other"), reasonAudience},
		"no audience":          {set("aud", nil), reasonAudience},
		"ended":                {set("exp", 1), reasonTime},
		"no time":              {set("exp", "soon"), reasonTime},
		"not yet":              {set("nbf", time.Now().Add(time.Hour).Unix()), reasonTime},
		"a refresh token":      {set("token_use", "refresh_token"), reasonKind},
		"Keycloak's refresh":   {set("typ", "Refresh"), reasonKind},
		"DPoP":                 {set("token_type", "DPoP"), reasonKind},
		"bound":                {set("cnf", map[string]any{"x5t#S256": "a"}), reasonKind},
		"no subject, a person": {func(a map[string]any) { delete(a, "sub"); a["username"] = "alice" }, reasonSubject},
		"subject too long":     {set("sub", strings.Repeat("s", 256)), reasonSubject},
		"inactive":             {set("active", false), reasonInactive},
	} {
		t.Run(name, func(t *testing.T) {
			b.t = t
			b.issuer.EditIntrospection(test.edit)
			logged := len(b.log.String())
			token := b.opaque()
			answer := b.bring(token)
			want := http.StatusOK
			if test.want != "" {
				want = http.StatusUnauthorized
			}
			if answer.Code != want || test.want != "" && !strings.Contains(b.log.String()[logged:], `"reason":"`+test.want+`"`) {
				t.Errorf("%d %v, want %d for %q\n%s", answer.Code, answer.Header(), want, test.want, b.log.String()[logged:])
			}
			checkSecrets(t, "the log", b.log.String()[logged:], []string{token, gateSecret})
		})
	}
}

// TestIntrospectionFaults has an issuer that does not tell: nobody passes, nobody is called unknown, and as soon as it tells all is well.
func TestIntrospectionFaults(t *testing.T) {
	for name, fault := range map[string]idptest.Interceptor{
		"500":                 idptest.Status(http.StatusInternalServerError),
		"401":                 idptest.Answer(http.StatusUnauthorized, "application/json", `{"error":"invalid_client"}`),
		"garbage":             idptest.Garbage(),
		"huge":                idptest.Endless(),
		"closed":              idptest.Close(),
		"redirect":            idptest.Redirect("/elsewhere"),
		"HTML":                idptest.Status(http.StatusOK),
		"an array":            idptest.Answer(http.StatusOK, "application/json", `[{"active":true}]`),
		"active in words":     idptest.Answer(http.StatusOK, "application/json", `{"active":"true"}`),
		"no active":           idptest.Answer(http.StatusOK, "application/json", `{"sub":"batch"}`),
		"Active":              idptest.Answer(http.StatusOK, "application/json", `{"Active":true,"sub":"batch"}`),
		"more than an answer": idptest.Answer(http.StatusOK, "application/json", `{"active":false}{"active":true}`),
		"too long":            idptest.Answer(http.StatusOK, "application/json", `{"active":true,"x":"`+strings.Repeat("x", maxIntrospection)+`"}`),
		"never":               idptest.Hang(),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBearerRig(t, 1, nil)
			token := b.opaque()
			b.issuer.Intercept(idptest.Introspection, fault)
			answer := b.bring(token)
			if answer.Code != http.StatusServiceUnavailable || answer.Header().Get("Retry-After") == "" || !strings.Contains(b.log.String(), `"reason":"`+reasonAsking+`"`) {
				t.Fatalf("%d %v\n%s", answer.Code, answer.Header(), b.log)
			}
			// A token that can be judged without asking passes.
			if answer := b.bring(b.sign(nil, nil)); answer.Code != http.StatusOK {
				t.Errorf("a JWT meanwhile: %d", answer.Code)
			}
			if n := b.issuer.Count("/elsewhere"); n != 0 {
				t.Error("a redirect was followed")
			}
			checkSecrets(t, "the log", b.log.String(), []string{token, gateSecret})
			if name == "never" {
				return // that question is still under way
			}
			b.issuer.Intercept(idptest.Introspection, nil)
			eventually(t, "the token passes", func() bool { b.advance(failureMemory); return b.bring(token).Code == http.StatusOK })
		})
	}
}

// TestSlowIntrospection asks an issuer that takes longer than a verdict may: the first request is told to come again, and a later one passes, by the
// answer to the one question.
func TestSlowIntrospection(t *testing.T) {
	b := newBearerRig(t, 1, nil)
	token := b.opaque()
	release := make(chan struct{})
	b.issuer.Intercept(idptest.Introspection, idptest.Hold(release))
	for range 3 {
		if answer := b.bring(token); answer.Code != http.StatusServiceUnavailable {
			t.Fatalf("%d", answer.Code)
		}
	}
	close(release)
	eventually(t, "the token passes", func() bool { return b.bring(token).Code == http.StatusOK })
	if n := b.introspections(); n != 1 {
		t.Errorf("the issuer was asked %d times", n)
	}
}

// TestOneIntrospection brings one token in many requests at once.
func TestOneIntrospection(t *testing.T) {
	b := newBearerRig(t, 1, nil)
	token := b.opaque()
	var asking sync.WaitGroup
	for range 200 {
		asking.Go(func() {
			for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
				if code := b.bring(token).Code; code == http.StatusOK {
					return
				} else if code != http.StatusServiceUnavailable { // on a busy machine an answer may take longer than a verdict may
					t.Errorf("%d", code)
					return
				}
			}
			t.Error("it never passed")
		})
	}
	asking.Wait()
	if n := b.introspections(); n != 1 {
		t.Errorf("the issuer was asked %d times", n)
	}
}

// TestTwoTokensNeverSwap brings the tokens of two clients in turns.
func TestTwoTokensNeverSwap(t *testing.T) {
	b := newBearerRig(t, 1, nil)
	var asking sync.WaitGroup
	for i := range 8 {
		subject := fmt.Sprintf("machine-%d", i)
		token := b.sign(nil, map[string]any{"sub": subject})
		asking.Go(func() {
			for range 200 {
				if answer := b.bring(token); answer.Code != http.StatusOK || answer.Header().Get("X-Auth-Request-User") != subject {
					t.Errorf("%d, %q is %q", answer.Code, subject, answer.Header().Get("X-Auth-Request-User"))
					return
				}
			}
		})
	}
	asking.Wait()
}

// TestSeveralIssuersOfOpaqueTokens asks one after the other. While one of them does not answer, nobody can say that a token is bad.
func TestSeveralIssuersOfOpaqueTokens(t *testing.T) {
	second := idptest.Start(t, idptest.Options{
		OpaqueMachineTokens: true,
		Clients:             []idptest.Client{{ID: "gate", Secret: gateSecret}, {ID: "batch", Secret: machineSecret, Audiences: []string{"second"}}},
	})
	b := newBearerRig(t, 1, func(c *Config) {
		c.Bearer = append(c.Bearer, Bearer{
			Issuer: second.Issuer(), Audiences: []string{"second"}, IntrospectionURL: second.URL(idptest.Introspection), ClientID: "gate", ClientSecret: gateSecret,
		})
	})
	theirs := (&bearerRig{rig: b.rig, issuer: second}).opaque()
	if answer := b.bring(theirs); answer.Code != http.StatusOK || answer.Header().Get("X-Issuer") != second.Issuer() {
		t.Fatalf("%d %v\n%s", answer.Code, answer.Header(), b.log)
	}
	if answer := b.bring("unknown"); answer.Code != http.StatusUnauthorized {
		t.Errorf("unknown to both: %d", answer.Code)
	}
	b.issuer.Intercept(idptest.Introspection, idptest.Status(http.StatusBadGateway))
	if answer := b.bring("unknown2"); answer.Code != http.StatusServiceUnavailable {
		t.Errorf("unknown to the second, and the first does not tell: %d", answer.Code)
	}
	again := (&bearerRig{rig: b.rig, issuer: second}).opaque()
	if answer := b.bring(again); answer.Code != http.StatusOK {
		t.Errorf("known to the second, and the first does not tell: %d", answer.Code)
	}
	// A JWT of one of them with the audience of the other is for nobody here.
	mixed := (&bearerRig{rig: b.rig, issuer: second}).sign(nil, nil)
	if answer := b.bring(mixed); answer.Code != http.StatusUnauthorized {
		t.Errorf("an audience of another issuer: %d", answer.Code)
	}
}

// TestKnownTokensAreBounded brings more tokens than are remembered, good ones and others.
func TestKnownTokensAreBounded(t *testing.T) {
	now := time.Now()
	k := newKnownTokens(func() time.Time { return now }, nil)
	k.good = otter.Must(&otter.Options[session.ID, keptVerdict]{MaximumWeight: 100_000, Weigher: func(_ session.ID, v keptVerdict) uint32 { return uint32(v.size) }})
	id := func(kind string, i int) session.ID { return hashOf([]byte(kind), fmt.Append(nil, i)) }
	good := tokenVerdict{principal: &session.Session{Subject: "a", Expires: now.Add(time.Hour)}, size: 1000}
	k.keep(id("first", 0), good)
	for i := range 3 * maxRefusals {
		k.keep(id("bad", i), tokenVerdict{refusal: refuseBearer(reasonInactive, "", nil)})
	}
	k.refused.CleanUp()
	if n := k.refused.EstimatedSize(); n > maxRefusals || n == 0 {
		t.Errorf("%d refusals are remembered", n)
	}
	if _, ok := k.get(id("first", 0)); !ok {
		t.Error("bad tokens have pushed out a good one")
	}
	for i := range 1000 {
		k.keep(id("good", i), good)
	}
	k.good.CleanUp()
	if n := k.good.WeightedSize(); n > 100_000 || n == 0 {
		t.Errorf("good tokens weigh %d", n)
	}

	// Nothing is remembered beyond the token's own end, nor beyond the moment.
	brief := good
	brief.principal = &session.Session{Expires: now.Add(time.Second)}
	k.keep(id("brief", 0), brief)
	k.keep(id("long", 0), good)
	now = now.Add(time.Second)
	if _, ok := k.get(id("brief", 0)); ok {
		t.Error("a token outlives its end")
	}
	now = now.Add(bearerMemory - 2*time.Second)
	if _, ok := k.get(id("long", 0)); !ok {
		t.Error("a good token is forgotten too early")
	}
	now = now.Add(time.Second)
	if _, ok := k.get(id("long", 0)); ok {
		t.Error("a good token is remembered too long")
	}
}

// TestIntrospectionsAreBounded brings more tokens at once than may be asked about.
func TestIntrospectionsAreBounded(t *testing.T) {
	var panicked []error
	k := newKnownTokens(time.Now, func(err error) { panicked = append(panicked, err) })
	release, started := make(chan struct{}), make(chan struct{}, maxIntrospections)
	var waiting sync.WaitGroup
	for i := range maxIntrospections {
		waiting.Go(func() {
			k.ask(t.Context(), hashOf(fmt.Append(nil, i)), func(context.Context) tokenVerdict {
				started <- struct{}{}
				<-release
				return tokenVerdict{refusal: refuseBearer(reasonInactive, "", nil)}
			})
		})
	}
	for range maxIntrospections {
		<-started
	}
	v := k.ask(t.Context(), hashOf([]byte("one more")), func(context.Context) tokenVerdict { panic("it is asked") })
	if v.refusal == nil || v.refusal.outcome != Unavailable {
		t.Errorf("one more: %+v", v)
	}
	close(release)
	waiting.Wait()
	v = k.ask(t.Context(), hashOf([]byte("one more")), func(context.Context) tokenVerdict { panic("nobody is there to answer") })
	if v.refusal == nil || v.refusal.outcome != Unavailable || len(k.flights) != 0 || len(panicked) != 1 {
		t.Errorf("a panic: %+v, and %d flights; told %v", v, len(k.flights), panicked)
	}
}
