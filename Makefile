# Everything that is done with this source by hand or by CI. `make help` lists it.

SHELL       := /bin/sh
.SHELLFLAGS := -eu -c
.DEFAULT_GOAL := help

VERSION        ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FUZZTIME       ?= 20s
BENCHARGS      ?=
COMMIT         ?= HEAD
PACKAGE        ?= ./center
BENCHMARK      ?= ^BenchmarkGet$$
FAULTS_ROUNDS  ?= 5
FAULTS_SECONDS ?= 1
FAULTS_REPORT  ?=
RUNARGS        ?=

PROTO_IMAGE := api/setpoint.v1.binpb

BINARY     := bin/setpoint
MAX_BYTES  := 62914560 # 60 MiB, stripped
LINTER     := $(CURDIR)/bin/golangci-lint
BUF        := $(CURDIR)/bin/buf
GQLGEN     := $(CURDIR)/bin/gqlgen
# What npm leaves when it has installed the libraries that are locked.
NODE_LIBS  := test/interop/node/node_modules/.package-lock.json

# One way to compile for the binary, the linter and what the linter looks at, so
# that the build cache serves all three: static, and the same on every machine.
STATIC    := CGO_ENABLED=0 GOFLAGS="$(strip $(shell go env GOFLAGS) -trimpath)"
GO_STATIC := $(STATIC) go
# Every test runs under the race detector, and only there, so that nothing is
# compiled twice. It is the one thing that needs a C compiler. Vet runs in lint.
GO_TEST   := CGO_ENABLED=1 go test -race -vet=off -timeout=10m

# The packages whose tests drive the built binary, the one that breaks clusters
# and wants the machine for itself, and all others.
FAULT_PKG  = github.com/setpointhq/setpoint/test/fault
E2E_PKGS   = $(filter-out $(FAULT_PKG),$(shell go list ./cmd/... ./test/... 2>/dev/null))
UNIT_PKGS  = $(filter-out $(FAULT_PKG) $(E2E_PKGS),$(shell go list ./...))

##@ Every day

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z][a-z0-9-]*:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/setpoint: one static binary
	@mkdir -p bin
	$(GO_STATIC) build -ldflags "-s -w -X main.version=$(VERSION)" -o $(BINARY) ./cmd/setpoint
	@size=$$(wc -c < $(BINARY)); \
	if [ "$$size" -gt $(MAX_BYTES) ]; then \
	  echo "$(BINARY) has $$size bytes; the limit is $(MAX_BYTES). See what grew: go tool nm -size -sort size" >&2; exit 1; \
	fi; \
	echo "$(BINARY) $(VERSION), $$((size / 1048576)) MiB"

.PHONY: run
run: build ## Build and run a server to try things out: setpoint dev (RUNARGS=…)
	$(BINARY) dev $(RUNARGS)

.PHONY: cluster
cluster: build ## Build and run three nodes to try a cluster out
	BINARY=$(BINARY) tools/cluster

.PHONY: test
test: ## Run everything that CI runs, and sum it up
	@MAKE="$(MAKE)" tools/stages test-deps lint build current unit e2e fault

##@ The parts of make test

.PHONY: test-deps
test-deps: ## Install the system packages that tests need, where they are missing
	@tools/install-test-deps

.PHONY: lint
lint: $(LINTER) ## Check style, mistakes and the import table
	@tools/proto-sum check || $(MAKE) --no-print-directory lint-proto
	$(STATIC) $(LINTER) run

$(LINTER): tools/go.mod tools/go.sum
	@mkdir -p bin
	$(GO_STATIC) -C tools build -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

# It compares with the description as it was committed last, whose place only
# `make proto` takes, after this. To break it on purpose, remove that file.
.PHONY: lint-proto
lint-proto: $(BUF)
	$(BUF) lint api
	$(BUF) format api --diff --exit-code
	@if [ -f $(PROTO_IMAGE) ]; then set -x; $(BUF) breaking api --against $(PROTO_IMAGE); fi

# buf, and the plugins that it calls: a module of its own, so that its libraries
# and the linter's need not agree.
$(BUF): tools/buf/go.mod tools/buf/go.sum
	@mkdir -p bin
	$(GO_STATIC) -C tools/buf build -o $(CURDIR)/bin/ github.com/bufbuild/buf/cmd/buf \
	  google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc
	@touch $@

.PHONY: current
current: ## Fail if a generated file is not what its source says
	@tools/check-generated

.PHONY: unit
unit: test-deps ## Unit tests, conformance suites and fuzz seeds, under the race detector
	$(GO_TEST) $(UNIT_PKGS)

.PHONY: e2e
e2e: test-deps build $(LINTER) node-libs ## CLI scripts and end-to-end tests against the built binary
	SETPOINT_BIN=$(CURDIR)/$(BINARY) GOLANGCI_LINT=$(LINTER) $(GO_TEST) $(E2E_PKGS)

.PHONY: node-libs
node-libs: $(NODE_LIBS) ## Fetch the clients in JavaScript that tests drive, as they are locked

$(NODE_LIBS): test/interop/node/package.json test/interop/node/package-lock.json | test-deps
	cd test/interop/node && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

.PHONY: fault
fault: test-deps build ## One round of faults on a cluster of the built binary, judged
	SETPOINT_BIN=$(CURDIR)/$(BINARY) $(GO_TEST) $(FAULT_PKG)

##@ Now and then

.PHONY: fmt
fmt: $(LINTER) ## Format all Go code
	$(LINTER) fmt

.PHONY: generate
generate: graphql ## Generate what is generated: references, schemas, code
	@tools/proto-sum check || $(MAKE) --no-print-directory proto
	$(GO_STATIC) generate ./...

.PHONY: proto
proto: lint-proto ## Generate the gRPC interface's Go code, unless its description breaks clients
	rm -f api/setpointv1/*.pb.go
	cd api && $(BUF) generate && $(BUF) build --as-file-descriptor-set -o $(CURDIR)/$(PROTO_IMAGE)
	@tools/proto-sum write

.PHONY: graphql
graphql: $(GQLGEN) ## Generate the GraphQL interface's Go code of its schema
	cd protocol/graphql && $(GQLGEN) generate --config gqlgen.yml

# A module of its own, whose version is that of the library (there is a test).
$(GQLGEN): tools/gqlgen/go.mod tools/gqlgen/go.sum
	@mkdir -p bin
	$(GO_STATIC) -C tools/gqlgen build -o $@ github.com/99designs/gqlgen
	@touch $@

.PHONY: faults
faults: test-deps build ## Break a cluster in every way for a while, and sum it up (FAULTS_ROUNDS=5, FAULTS_SECONDS=1, FAULTS_REPORT=FILE)
	SETPOINT_BIN=$(CURDIR)/$(BINARY) FAULTS_ROUNDS=$(FAULTS_ROUNDS) FAULTS_SECONDS=$(FAULTS_SECONDS) FAULTS_REPORT=$(abspath $(FAULTS_REPORT)) \
	  go test -count=1 -timeout=3h -v -run 'TestFaults' ./test/fault

.PHONY: bench
bench: build ## Measure a server, each figure beside its floor (BENCHARGS=…)
	$(BINARY) bench $(BENCHARGS)

.PHONY: microbench
microbench: ## Run the benchmark functions of all packages
	$(GO_STATIC) test -run='^$$' -bench=. -benchmem ./...

.PHONY: compare
compare: ## Run benchmark functions of an older commit and of this tree in turns (COMMIT=… PACKAGE=./center BENCHMARK='^BenchmarkGet$$')
	@tools/compare '$(COMMIT)' '$(PACKAGE)' '$(BENCHMARK)'

.PHONY: fuzz
fuzz: ## Fuzz every target for FUZZTIME (20s) each
	@tools/fuzz-all $(FUZZTIME)

.PHONY: vuln
vuln: ## Look the dependencies up in Go's vulnerability database (needs the network)
	$(GO_STATIC) -C tools build -o $(CURDIR)/bin/govulncheck golang.org/x/vuln/cmd/govulncheck
	bin/govulncheck ./...

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin dist coverage.txt test/interop/node/node_modules
