package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
)

// upstream is a cluster. It is safe for concurrent use.
type upstream struct {
	endpoints      []string
	connectTimeout time.Duration

	turn atomic.Uint64
	once sync.Once
	way  *http.Transport
}

// next returns the endpoint whose turn it is.
func (u *upstream) next() string { return u.endpoints[u.turn.Add(1)%uint64(len(u.endpoints))] }

func (u *upstream) transport() *http.Transport {
	u.once.Do(func() {
		u.way = &http.Transport{DialContext: (&net.Dialer{Timeout: u.connectTimeout}).DialContext, DisableCompression: true, MaxIdleConnsPerHost: 16}
	})
	return u.way
}

// forward sends the request to an endpoint, and to another where the policy says so. An answer that never comes is failed's.
func (u *upstream) forward(w http.ResponseWriter, r *http.Request, policy *route.RetryPolicy, failed func(status int)) {
	proxy := &httputil.ReverseProxy{
		Transport: retrying{u, policy},
		Rewrite: func(out *httputil.ProxyRequest) {
			for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded"} {
				if values := out.In.Header[name]; values != nil {
					out.Out.Header[name] = values
				}
			}
			out.Out.URL.RawQuery = out.In.URL.RawQuery // whatever it is
			out.Out.URL.Scheme, out.Out.URL.Host = "http", "cluster"
		},
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) {
			if errors.Is(err, context.DeadlineExceeded) {
				failed(http.StatusGatewayTimeout)
				return
			}
			failed(http.StatusServiceUnavailable)
		},
		FlushInterval: -1,
	}
	proxy.ServeHTTP(w, r)
}

// retrying is a transport to the endpoints of a cluster, in turn.
type retrying struct {
	to     *upstream
	policy *route.RetryPolicy
}

// RoundTrip sends the request again after a connect-failure, where it was not sent, and after a reset, where no answer began.
func (t retrying) RoundTrip(r *http.Request) (*http.Response, error) {
	for left := t.policy.GetNumRetries().GetValue(); ; left-- {
		attempt := r.Clone(r.Context())
		attempt.URL.Host = t.to.next()
		answer, err := t.to.transport().RoundTrip(attempt)
		var failure *net.OpError
		unsent := errors.As(err, &failure) && failure.Op == "dial"
		again := unsent && t.retries("connect-failure") || !unsent && t.retries("reset")
		if err == nil || left == 0 || !again || r.Context().Err() != nil {
			return answer, err
		}
	}
}

func (t retrying) retries(on string) bool {
	return slices.Contains(strings.Split(t.policy.GetRetryOn(), ","), on)
}
