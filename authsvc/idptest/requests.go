package idptest

import (
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// keptRequests bounds the request log; the counts go on beyond it.
const keptRequests = 20_000

// Request is one request that the provider saw.
type Request struct {
	Time     time.Time // by Options.Now
	Endpoint Endpoint
	Method   string
	Path     string
	Query    url.Values
	Form     url.Values // of an urlencoded body, else nil
	Header   http.Header
	TLS      bool
	Status   int // of the answer; 0 while it is under way, or when the connection was cut
}

type requestLog struct {
	mu      sync.Mutex
	entries []*Request
	counts  map[Endpoint]int
}

func (l *requestLog) add(now time.Time, endpoint Endpoint, r *http.Request, body []byte) *Request {
	entry := &Request{
		Time:     now,
		Endpoint: endpoint,
		Method:   r.Method,
		Path:     r.URL.Path,
		Query:    r.URL.Query(),
		Header:   r.Header.Clone(),
		TLS:      r.TLS != nil,
	}
	if isForm(r) {
		entry.Form, _ = url.ParseQuery(string(body)) // what can be read; the endpoint refuses the rest
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts == nil {
		l.counts = map[Endpoint]int{}
	}
	l.counts[endpoint]++
	if len(l.entries) >= keptRequests {
		l.entries = slices.Delete(l.entries, 0, keptRequests/2)
	}
	l.entries = append(l.entries, entry)
	return entry
}

func (l *requestLog) finish(entry *Request, status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	entry.Status = status
}

// Count is how many requests the endpoint has seen, from the moment in which each arrived.
func (p *Provider) Count(endpoint Endpoint) int {
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	return p.log.counts[endpoint]
}

// Requests are the requests that the endpoint has seen, oldest first; "" gives those of all endpoints.
// Of a very long log only the newest are kept (at least 10,000 of all endpoints together).
func (p *Provider) Requests(endpoint Endpoint) []Request {
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	var found []Request
	for _, entry := range p.log.entries {
		if endpoint == "" || entry.Endpoint == endpoint {
			found = append(found, *entry)
		}
	}
	return found
}

// ForgetRequests empties the request log and sets its counts to 0.
func (p *Provider) ForgetRequests() {
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	p.log.entries, p.log.counts = nil, nil
}

// statusWriter notes the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController flush and hijack.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
