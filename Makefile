# Needs Go, git and make; everything else is built from pinned Go modules into
# a cache outside the clone (ROSTER_CACHE, default ~/.cache/roster).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# What `make test` tests, and more flags for `go test`, run and bench:
#   make test PKG=./controllers/... ARGS='-run TestAgent -v'
PKG  ?= ./...
ARGS ?=

# No tag and no commit is a tarball or a new clone, not an error.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# Flags are explicit, because GOFLAGS may hold anything: the version is ours,
# and Git's stamp fails in a clone that belongs to somebody else.
GO_BUILD := CGO_ENABLED=0 go build -trimpath -buildvcs=false
GO_TEST  := go test -buildvcs=false -count=1 -timeout 20m

# $(ASSETS) in a recipe: KUBEBUILDER_ASSETS is there, built if need be.
ASSETS = KUBEBUILDER_ASSETS="$$(hack/controlplane/build.sh | tail -n 1)"; export KUBEBUILDER_ASSETS

# $(KUBECTL) in a recipe: the one that is there, else the one we can build.
KUBECTL ?= $$(command -v kubectl || echo "$$(hack/controlplane/build.sh | tail -n 1)/kubectl")

##@ Everyday

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: run
run: ## Start a control plane and Roster with the samples (KUBECONFIG=… uses that cluster instead)
	@$(if $(KUBECONFIG),,$(ASSETS);) \
	echo 'building bin/roster and bin/quickstart (a minute or two the first time) ...'; \
	$(GO_BUILD) -ldflags '-s -w -X main.version=$(VERSION)' -o bin/roster .; \
	$(GO_BUILD) -ldflags '-s -w' -o bin/quickstart ./hack/quickstart; \
	$(if $(KUBECONFIG),export KUBECONFIG='$(KUBECONFIG)';) \
	exec bin/quickstart $(ARGS)

.PHONY: build
build: ## Build bin/roster
	$(GO_BUILD) -ldflags '-s -w -X main.version=$(VERSION)' -o bin/roster .

.PHONY: test
test: ## Unit and envtest suites against a real control plane (PKG=, ARGS=; ROSTER_REQUIRE_ALL=1: a skip fails)
	@$(check-postgres); $(ASSETS); \
	$(GO_TEST) $(PKG) $(ARGS)

.PHONY: test-race
test-race: ## The same with the race detector (needs a C compiler)
	@$(check-postgres); $(ASSETS); \
	CGO_ENABLED=1 $(GO_TEST) -race $(PKG) $(ARGS)

.PHONY: test-pbx
test-pbx: ## The rows on real Asterisk servers with real SIP phones (root on Linux; debootstrap, sipp; PKG=, ARGS=)
	@$(check-postgres); $(check-pbx); $(ASSETS); \
	$(if $(filter ./...,$(PKG)),exec hack/asterisk/test.sh,go test -buildvcs=false -count=1 -timeout 40m -tags pbx $(PKG) $(ARGS))

.PHONY: pbx
pbx: ## Start an Asterisk for trying things out, on a database that Roster made (root on Linux; ARGS=)
	@exec go run ./hack/asterisk/cmd/pbx $(ARGS)

.PHONY: bench
bench: ## Measure against the real control plane (ARGS=)
	@$(ASSETS); \
	$(GO_BUILD) -o bin/bench ./hack/bench; \
	exec bin/bench $(ARGS)

.PHONY: bench-pbx
bench-pbx: ## Measure against the real control plane and a real Asterisk (root on Linux; debootstrap, sipp; ARGS=)
	@$(ASSETS); \
	$(GO_BUILD) -o bin/bench ./hack/bench; \
	exec bin/bench --sections f,g,h,i,j $(ARGS)

.PHONY: clean
clean: ## Remove bin/ and .run/ (the cache stays: ROSTER_CACHE)
	rm -rf bin .run

##@ Code

.PHONY: generate
generate: ## Generate deepcopy, CRDs and RBAC
	@hack/tools/generate.sh .

.PHONY: verify
verify: ## Fail if generated files, format or go.mod are not up to date, or vet finds something
	@hack/tools/verify.sh

.PHONY: fmt
fmt: ## Format the Go code
	@lint=$$(hack/tools/build.sh golangci-lint); "$$lint" fmt ./...; "$$(go env GOROOT)/bin/gofmt" -w hack/tools

.PHONY: lint
lint: ## Run golangci-lint, with kube-api-linter on api/
	@lint=$$(hack/tools/build.sh golangci-lint); "$$lint" run ./... $(ARGS)

.PHONY: assets
assets: ## Make sure the control plane's programs exist; prints their folder as the last line
	@hack/controlplane/build.sh

##@ Cluster

.PHONY: install
install: ## Install the CRDs into the cluster of KUBECONFIG
	kubectl=$(KUBECTL); "$$kubectl" apply --server-side -f config/crd/bases

.PHONY: uninstall
uninstall: ## Remove the CRDs, and with them every Roster object, from the cluster of KUBECONFIG
	kubectl=$(KUBECTL); "$$kubectl" delete --ignore-not-found -f config/crd/bases

.PHONY: deploy
deploy: ## Run Roster in the cluster of KUBECONFIG: CRDs, RBAC and a Deployment of IMAGE
	@if [ -z "$(IMAGE)" ]; then echo 'make deploy IMAGE=registry.example/roster:tag' >&2; exit 1; fi
	kubectl=$(KUBECTL); "$$kubectl" kustomize config/default \
	  | sed 's|image: roster:dev|image: $(IMAGE)|' \
	  | "$$kubectl" apply --server-side -f -

.PHONY: undeploy
undeploy: ## Remove the Deployment and its RBAC from the cluster of KUBECONFIG; CRDs, objects and the data volume stay
	kubectl=$(KUBECTL); "$$kubectl" delete --ignore-not-found \
	  -f config/manager/manager.yaml -f config/manager/service.yaml -f config/rbac/role_binding.yaml -f config/rbac/leader_election.yaml \
	  -f config/rbac/service_account.yaml -f config/rbac/role.yaml -f config/rbac/people.yaml

# A suite that silently tests half of it is worse than one that fails.
define check-postgres
if ! command -v initdb >/dev/null && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then \
  printf '%s\n' \
    '***********************************************************************' \
    '*  PostgreSQL is not found: its half of the database tests is SKIPPED. *' \
    '*  Debian: apt-get install postgresql                                  *' \
    '***********************************************************************' >&2; \
  if [ -n "$${ROSTER_REQUIRE_ALL:-}" ]; then echo 'ROSTER_REQUIRE_ALL is set: a skip fails' >&2; exit 1; fi; \
fi
endef

define check-pbx
missing=(); \
if [ -z "$${ROSTER_TEST_ASTERISK:-}" ]; then \
  [ "$$(id -u)" = 0 ] || missing+=('root, to run Asterisk in a folder of its own (chroot)'); \
  command -v debootstrap >/dev/null || ls -d "$${ROSTER_CACHE:-$$HOME/.cache/roster}"/asterisk/22 >/dev/null 2>&1 || missing+=('debootstrap (apt-get install debootstrap)'); \
  command -v sipp >/dev/null || missing+=('sipp (apt-get install sip-tester)'); \
fi; \
if [ "$${#missing[@]}" -gt 0 ]; then \
  echo '***********************************************************************' >&2; \
  echo '*  NOTHING IS PROVEN ON ASTERISK: the suite skips without' >&2; \
  printf '*    %s\n' "$${missing[@]}" >&2; \
  echo '*  or ROSTER_TEST_ASTERISK=host:port,... (what needs phones skips then)' >&2; \
  echo '***********************************************************************' >&2; \
  if [ -n "$${ROSTER_REQUIRE_ALL:-}" ]; then echo 'ROSTER_REQUIRE_ALL is set: a skip fails' >&2; exit 1; fi; \
fi
endef
