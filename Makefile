# authsvc: make help tells the targets.

SHELL := /bin/bash
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
# The profile tells the compiler what a verdict spends its time on: runtime/pprof's, of replicas under the direct and off loads of make bench, without places
# and names of the machine. To make it anew, as when the path of a verdict has changed much: have serve write a CPU profile (runtime/pprof) in a copy of the
# sources, give its build to bin/bench -authsvc ... -only direct,off, merge what it wrote with "go tool pprof -proto", and look through it with "go tool pprof
# -raw" for paths that are yours. An old profile makes a verdict slower and nothing else. It is not default.pgo, with which each test that builds the program would compile all modules anew, for a minute of two cores.
BUILD := go build -trimpath -pgo=cmd/authsvc/verdict.pgo -buildvcs=auto -ldflags '-s -w -X main.version=$(VERSION)'
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
KUBE_VERSION := k8s.io/component-base/version
BENCHSTAT := golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.8.0
INSTALL := sh examples/demo/install.sh
FUZZTIME ?= 1m
USERS ?= 15000
SESSIONS ?= 1000000
# Of what go test -v prints: the end of each test, and whatever a test says, below its name.
PROGRESS := -e '/^=== /{h;d;}' -e '/^PASS$$/d' -e '/^ +--- PASS/d' -e '/^( *--- |ok |FAIL|\?)/b' -e 'x;/./p;s/.*//;x'

.PHONY: help build release demo test security test-traefik test-kube flagship faults bench bench-go scale check fuzz

help: ## these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

build: ## one static binary, bin/authsvc
	CGO_ENABLED=0 $(BUILD) -o bin/authsvc ./cmd/authsvc
	@ls -l bin/authsvc

release: ## on Linux: binaries for amd64 and arm64 of what is committed, their bill of materials and sums in bin/release; VERSION=v1.2.3
	@test -z "$$(git status --porcelain)" || { echo "commit first: a release is made of what is committed"; exit 1; }
	@rm -rf bin/release; mkdir -p bin/release
	@set -e; for arch in amd64 arm64; do \
		CGO_ENABLED=0 GOOS=linux GOARCH=$$arch $(BUILD) -o bin/release/authsvc-linux-$$arch ./cmd/authsvc; \
		go version -m bin/release/authsvc-linux-$$arch | grep -P '^\tdep\t' > bin/modules-$$arch; \
	done; \
	cmp bin/modules-amd64 bin/modules-arm64; \
	bin/release/authsvc-linux-$$(go env GOHOSTARCH) version --sbom > bin/release/authsvc.cdx.json; \
	cd bin/release && sha256sum * | tee SHA256SUMS

demo: build ## the whole chain on this machine: Redis, a provider, two replicas, nginx, an application; CHECK=1 signs in by itself
	@$(INSTALL) nginx --optional redis-server
	@go build -o bin/demo ./examples/demo
	@CHECK=$(CHECK) exec bin/demo -authsvc bin/authsvc

test: build ## everything, with the race detector: real nginx, Caddy, HAProxy, Redis, Redis Cluster, Chromium; the demo; the flagship with 300 people
	@$(INSTALL) nginx redis-server caddy haproxy systemd chromium nodejs npm gcc libc6-dev
	@echo "go test -race -p 1 -timeout 15m ./..., a line for each test as it ends"; set -o pipefail; \
	CC=$${CC:-$$(command -v gcc || echo cc)} go test -race -v -p 1 -timeout 15m ./... 2>&1 | sed -uE $(PROGRESS)
	@# -count=1: what it looks at stands outside of its module, where go test does not look for changes.
	@echo "the Helm chart and the manifests, with Helm's own packages and the Kubernetes types"; \
	cd e2e/kube && go vet ./... && go test -count=1 ./...
	@echo "the session packages again, as the release after this one: it reads two formats"; \
	go test -tags authsvc_next_format ./session ./session/memstore && go test -tags authsvc_next_format -run Contract ./session/redisstore
	@echo "examples/compose, read by Compose's own loader"; cd e2e/compose && go vet ./... && go test -count=1 ./...
	@$(MAKE) --no-print-directory demo CHECK=1
	@$(MAKE) --no-print-directory flagship USERS=300

security: build ## a named test for each advisory and each requirement on a relying party, by what each says
	@$(INSTALL) nginx redis-server caddy haproxy chromium nodejs npm gcc libc6-dev
	@set -o pipefail; CC=$${CC:-$$(command -v gcc || echo cc)} go test -race -v -count=1 -timeout 8m -run '^Test(Security|LifecyclePanics)' ./e2e

test-traefik: ## the gateways' cases through Traefik, which is built first: 15 minutes and 3 GB of memory the first time
	@$(INSTALL) redis-server
	cd e2e/traefik && go build -o $(CURDIR)/bin/traefik github.com/traefik/traefik/v3/cmd/traefik
	@set -o pipefail; go test -v -timeout 15m -run '^TestGateways(Confused)?$$/^traefik' ./e2e -args -traefik $(CURDIR)/bin/traefik 2>&1 | sed -uE $(PROGRESS)

test-kube: build ## the Helm chart installed and upgraded where a real kube-apiserver looks at it; opt-in, builds it and helm: 10 minutes of two cores, 3 GB
	@$(INSTALL) nginx etcd-server
	@echo "building helm and kube-apiserver in bin, once: 11 minutes of one core"
	cd e2e/kube && go build -o $(CURDIR)/bin/helm helm.sh/helm/v3/cmd/helm
	@# It tells clients its version, and charts may ask for one.
	cd e2e/kube/apiserver && go build -ldflags '-s -w -X $(KUBE_VERSION).gitVersion=v1.36.3 -X $(KUBE_VERSION).gitMajor=1 -X $(KUBE_VERSION).gitMinor=36' \
		-o $(CURDIR)/bin/kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver
	@echo "etcd, kube-apiserver, and helm upgrade --install with each of the chart's value files"; set -o pipefail; \
	cd e2e/kube && go vet -tags apiserver ./... && go test -count=1 -tags apiserver -v -timeout 15m ./... 2>&1 | sed -uE $(PROGRESS)

flagship: build ## USERS=15000 people against three replicas while things go wrong, the incumbent's figures beside it
	@$(INSTALL) nginx redis-server
	@go build -o bin/flagship ./e2e/flagship
	@exec bin/flagship -authsvc bin/authsvc -users $(USERS)

bench: build ## what a verdict costs, beside bare handlers in the same run and the incumbent's figures; BENCH="-only direct,off", a quarter of an hour
	@$(INSTALL) nginx redis-server wrk
	@go build -o bin/bench ./e2e/bench
	@exec bin/bench -authsvc bin/authsvc $(BENCH)

bench-go: ## the pieces of a verdict (token, record, cache, rules, answer) against the figures of e2e/bench/testdata; two minutes; KEEP=1 writes them anew
	@mkdir -p bin
	@set -o pipefail; go test -run '^$$' -bench . -benchmem -benchtime 200ms -count 6 ./session ./authsvc | tee bin/bench.txt
	@$(if $(KEEP),cp bin/bench.txt e2e/bench/testdata/bench.txt,go run $(BENCHSTAT) committed=e2e/bench/testdata/bench.txt now=bin/bench.txt)

faults: build ## the fault catalogue on standalone Redis, Sentinel and Cluster, 2,000 sessions, 200 requests a second; FAULTS="-only F3", half an hour
	@$(INSTALL) nginx redis-server
	@go build -o bin/faults ./e2e/faults
	@exec bin/faults -authsvc bin/authsvc $(FAULTS)

scale: build ## SESSIONS=1000000 in one Redis: memory, verdicts, logins, commands, a mass expiry, replicas replaced, a fleet, a Cluster; SCALE="-only fill,expiry", a quarter of an hour, 5 GB
	@$(INSTALL) nginx redis-server wrk
	@go build -o bin/bench ./e2e/bench
	@exec bin/bench scale -authsvc bin/authsvc -sessions $(SESSIONS) $(SCALE)

check: ## format, vet, staticcheck, vet for other systems, the build is reproducible, modules are as pinned, known vulnerabilities
	@echo "gofmt"; test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on these"; exit 1; }
	go vet ./...
	go -C e2e/extauthz vet ./...
	go run $(STATICCHECK) ./...
	go test -run '^TestVerdictAllocates$$' ./authsvc # without the race detector, which allocates
	GOOS=linux GOARCH=arm64 go vet ./cmd/... ./authsvc ./session/... ./nginx ./nginx/lint
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 go build -o /dev/null ./cmd/authsvc
	GOOS=darwin GOARCH=arm64 go vet ./cmd/... ./authsvc ./session/... ./nginx ./nginx/lint
	@echo "the same binary, built in two other places"; set -e; places=$$(mktemp -d); trap 'rm -rf "$$places"' EXIT; \
	for place in one another/place; do \
		mkdir -p "$$places/$$place"; cp -R go.mod go.sum authsvc cmd nginx session "$$places/$$place"; \
		(cd "$$places/$$place" && CGO_ENABLED=0 $(BUILD) -o authsvc.bin ./cmd/authsvc); \
	done; \
	cmp "$$places/one/authsvc.bin" "$$places/another/place/authsvc.bin"
	go mod verify
	go mod tidy -diff
	@echo "govulncheck"; if ! GOBIN="$(CURDIR)/bin" go install $(GOVULNCHECK); then \
		echo "govulncheck cannot be built here; nobody has looked for known vulnerabilities."; exit 0; \
	fi; \
	bin/govulncheck ./...; code=$$?; \
	case $$code in \
	0) ;; \
	3) echo "Known vulnerabilities: see above for the versions that mend them."; exit $$code ;; \
	*) echo "govulncheck could not look (exit code $$code); nobody has looked for known vulnerabilities." ;; \
	esac

fuzz: ## every fuzz target for FUZZTIME, two at a time; what they find is kept in testdata/fuzz: commit it
	@echo "two at a time, each for $(FUZZTIME)"; grep -rHo '^func Fuzz[A-Za-z0-9_]*' --include='*_test.go' * | \
	sed -E 's,/[^/]*:func , ,' | sort | xargs -P 2 -n 2 sh -c 'out=$$(go test -run "^$$" -fuzz "^$$2$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x -parallel 1 "./$$1" 2>&1) \
	&& echo "$$1 $$2: $$(echo "$$out" | sed -n "s/^fuzz: elapsed: //p" | tail -1)" || { echo "$$1 $$2:"; echo "$$out" | grep -v "^fuzz: elapsed"; exit 1; }' fuzz
