-- Asks authsvc about a request, by the dialect of /forward: http-request lua.authsvc [QUERY], where QUERY narrows who may.
--
-- Who may pass gets the identity headers, and no copies of his own. Everybody else gets authsvc's answer: a redirect to the login or a page where
-- a browser loads a page, a bare status elsewhere. Without an answer it is 503.

local check = os.getenv("CHECK") or "127.0.0.1:4179" -- where haproxy.cfg listens for the check
local identity = { "x-auth-request-user", "x-auth-request-email", "x-auth-request-preferred-username", "x-auth-request-groups" }

-- What a verdict needs of the visitor's headers.
local passed = {
	"cookie", "authorization", "accept", "accept-language", "sec-fetch-mode", "upgrade", "x-requested-with", "x-request-id", "user-agent",
}

-- What a browser needs of a refusal.
local returned = {
	"location", "retry-after", "cache-control", "content-type", "content-language", "content-security-policy", "cross-origin-opener-policy",
	"permissions-policy", "referrer-policy", "vary", "x-auth-login-url", "x-content-type-options", "x-frame-options", "x-request-id",
}

-- The values of a header: HAProxy counts them from 0, its client from 1.
local function values(headers, name)
	local list = {}
	for i = 0, #(headers[name] or {}) do
		if headers[name] and headers[name][i] then
			list[#list + 1] = headers[name][i]
		end
	end
	return list
end

local function refuse(txn, status, headers, body)
	local reply = txn:reply({ status = status })
	for _, name in ipairs(returned) do
		for _, value in ipairs(values(headers, name)) do
			reply:add_header(name, value)
		end
	end
	if txn.f:method() ~= "HEAD" then
		reply:set_body(body)
	end
	txn:done(reply)
end

local function unavailable(txn)
	refuse(txn, 503, { ["retry-after"] = { [0] = "2" }, ["cache-control"] = { [0] = "no-store" } }, "")
end

-- The session is between the browser and authsvc; the application gets the other cookies.
local function hide_session(txn, visitor)
	local others = {}
	for _, line in ipairs(values(visitor, "cookie")) do
		for pair in line:gmatch("[^;]+") do
			local name = pair:match("^%s*([^=]*)"):gsub("^__Host%-", ""):gsub("^__Secure%-", "")
			if name ~= "authsvc" and name ~= "authsvc_login" then
				others[#others + 1] = pair:match("^%s*(.-)%s*$")
			end
		end
	end
	txn.http:req_del_header("cookie")
	if #others > 0 then
		txn.http:req_set_header("cookie", table.concat(others, "; "))
	end
end

core.register_action("authsvc", { "http-req" }, function(txn, query)
	local visitor = txn.http:req_get_headers()
	local headers = {}
	for _, name in ipairs(passed) do
		local list = values(visitor, name)
		if #list > 0 then
			headers[name] = list
		end
	end
	headers["x-forwarded-method"] = { txn.f:method() }
	local tls = txn.f:ssl_fc() -- a number, and since HAProxy 3.1 a boolean
	headers["x-forwarded-proto"] = { (tls == 1 or tls == true) and "https" or "http" }
	headers["x-forwarded-host"] = values(visitor, "host")
	headers["x-forwarded-uri"] = { txn.f:pathq() }

	local answer = core.httpclient():get({
		url = "http://" .. check .. "/oauth2/forward" .. (query or ""), headers = headers, timeout = 5000,
	})
	if not answer or not answer.headers or #values(answer.headers, "x-request-id") == 0 then
		return unavailable(txn) -- authsvc names every request; this is HAProxy's own answer, or none
	end
	if answer.status ~= 200 then
		return refuse(txn, answer.status, answer.headers, answer.body or "")
	end
	for _, name in ipairs(identity) do
		txn.http:req_set_header(name, values(answer.headers, name)[1] or "")
	end
	hide_session(txn, visitor)
end, 1)
