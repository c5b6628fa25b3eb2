package lint

// Rule is one thing that a lint looks for.
type Rule struct {
	Name  string // as findings and ignore comments write it
	About string // half a sentence
}

// report takes one finding: where, how bad, what stands there, why that matters, what would be right.
type report func(at *directive, severity Severity, what, why, fix string)

// rule is a Rule with the function that looks. Functions are called only for servers that ask for verdicts.
type rule struct {
	Rule
	find func(*server, report)
}

// Rules returns every rule, in the order of what they are about.
func Rules() []Rule {
	all := make([]Rule, len(rules))
	for i, r := range rules {
		all[i] = r.Rule
	}
	return all
}

var rules = []rule{
	// What gets past the check.
	{Rule{"return-bypass", "a return answers before the check is asked"}, findReturnBypass},
	{Rule{"rewrite-bypass", "a rewrite leads out of a protected location"}, findRewriteBypass},
	{Rule{"satisfy-any", "another condition is enough"}, findSatisfyAny},
	{Rule{"auth-off", "a hole in a protected part, which may be meant"}, findAuthOff},
	{Rule{"unprotected-ending", "an expression takes addresses out of a protected location"}, findUnprotectedEnding},
	{Rule{"upgrade-unfiltered", "any protocol may take the connection over"}, findUpgradeUnfiltered},

	// The check itself.
	{Rule{"check-nowhere", "no service of its own answers the check"}, findCheckNowhere},
	{Rule{"check-body", "the check announces a body that never comes"}, findCheckBody},
	{Rule{"check-internal", "the check can be asked from outside"}, findCheckInternal},
	{Rule{"check-address", "the visitor chooses what the check asks"}, findCheckAddress},
	{Rule{"check-transport", "cookies and verdicts cross a network in the clear"}, findCheckTransport},
	{Rule{"check-asked", "the check does not say what was asked"}, findCheckAsked},
	{Rule{"check-timeout", "a replica that hangs holds every request"}, findCheckTimeout},
	{Rule{"keepalive", "a connection for every verdict"}, findKeepalive},
	{Rule{"sticky", "browsers are tied to replicas, which is not needed"}, findSticky},
	{Rule{"buffers", "answers or requests do not fit"}, findBuffers},

	// Caches.
	{Rule{"cache-key", "one person's verdict serves another"}, findCacheKey},
	{Rule{"cache-refusal", "a refusal stays after the login"}, findCacheRefusal},
	{Rule{"cache-time", "a logout is late"}, findCacheTime},
	{Rule{"cache-page", "one person's page serves another"}, findCachePage},

	// The way to the login.
	{Rule{"login-proxied", "a refusal is answered by an application"}, findLoginProxied},
	{Rule{"login-address", "the way back is cut or the visitor's to choose"}, findLoginAddress},
	{Rule{"endpoints-protected", "the login needs a login"}, findEndpointsProtected},
	{Rule{"error-500", "an outage looks like a fault of the application"}, findError500},
	{Rule{"intercept-errors", "answers are taken for nginx's own"}, findInterceptErrors},

	// What the application learns.
	{Rule{"identity-missing", "the application does not learn who asks"}, findIdentityMissing},
	{Rule{"identity-forgeable", "some identity headers are the visitor's own"}, findIdentityForgeable},
	{Rule{"identity-from-client", "identity is taken from the request"}, findIdentityFromClient},
	{Rule{"underscore-headers", "other spellings of identity headers pass"}, findUnderscoreHeaders},
	{Rule{"forwarded-from-client", "the visitor says where he comes from"}, findForwardedFromClient},

	// What costs or puzzles.
	{Rule{"checked-twice", "one request asks for two verdicts"}, findCheckedTwice},
	{Rule{"cookie-relay", "cookies of the check are passed on, and there are none"}, findCookieRelay},
	{Rule{"add-header-drops", "headers against caching get lost"}, findAddHeaderDrops},
	{Rule{"websocket", "a WebSocket cannot open"}, findWebSocket},
}
