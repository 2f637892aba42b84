# `make` lists the targets.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
# make itself passes variables of the command line (`make image IMAGE=...`) to the environment of the recipes.
# Targets don't run in parallel, because they share the machine and the target directory.
.NOTPARALLEL:

# A static binary, as in the image, so that the tests test the binary that is shipped.
cargo := cargo --config .cargo/static.toml

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Each target checks (tests/prerequisites.sh) and builds (tests/with-tools.sh) only what the target needs.
space := $(subst ,, )
control_plane := kube-apiserver etcd kubectl
chart := helm helm-unittest helm-docs
flux := kustomize-controller kustomize-controller-crds source-controller-crds
external_secrets := external-secrets external-secrets-crds
crds := prometheus-operator-crds grafana-operator-crds
tools = $(filter-out lints bill,$(needs))
with_tools = tests/with-tools.sh --tools=$(subst $(space),$(comma),$(strip $(tools)))
comma := ,

# End-to-end tests mostly wait, so at least four run at a time, on any number of processors.
threads = $$(cores=$$(getconf _NPROCESSORS_ONLN); echo $$((cores < 4 ? 4 : cores)))

.PHONY: test
test: needs := $(control_plane) kube-controller-manager $(chart) kstatus moto krew validate-krew-manifest lints bill
test: prerequisites lint supply-chain ## Everything that proves the work: format, lints, dependencies, unit, property and end-to-end tests, the demo
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-$(threads)} $(with_tools) $(cargo) test --locked --no-fail-fast
	$(MAKE) --no-print-directory demo

.PHONY: quick
quick: needs := lints
quick: prerequisites lint ## The first minutes of `make test`: format, lints, unit, property and protocol tests; needs Rust alone
	$(cargo) test --locked --lib --test protocol --test architecture --test docs --test cli

.PHONY: chart
chart: needs := $(control_plane) kube-controller-manager kube-scheduler kwok helm3 $(chart) $(crds)
chart: prerequisites ## The Helm chart: all its tests, and installs by Helm 3 and 4 into a real API server
	RUST_TEST_THREADS=2 $(with_tools) $(cargo) test --locked --no-fail-fast --test chart --test install

.PHONY: gitops
gitops: needs := $(control_plane) kube-controller-manager kube-scheduler kwok kstatus argocd-lua $(flux) $(external_secrets)
gitops: prerequisites ## The operator under GitOps tools: health, actions and diff by Argo CD's own code; Flux; External Secrets
	RUST_TEST_THREADS=2 $(with_tools) $(cargo) test --locked --no-fail-fast --test gitops

.PHONY: gitops-testdata
gitops-testdata: needs := $(control_plane) kstatus
gitops-testdata: prerequisites ## Writes the testdata of the scripts for Argo CD anew, from a real API server
	CPO_WRITE_TESTDATA=1 $(with_tools) $(cargo) test --locked --test gitops -- the_testdata_is

.PHONY: gitops-files
gitops-files: ## Writes the ConfigMap for Argo CD anew, from its scripts
	gitops/argocd/generate.sh > gitops/argocd/.new
	mv gitops/argocd/.new gitops/argocd/argocd-cm.yaml

.PHONY: alerts
alerts: needs := $(control_plane) kstatus prometheus promtool decode-dashboard kube-state-metrics
alerts: prerequisites ## The alerts and the dashboard: by promtool, and by a real Prometheus while faults are injected; the series for teams
	$(cargo) test --locked --no-run --test alerts --test tenant_series
	$(with_tools) tests/alerts.sh
	$(with_tools) $(cargo) test --locked --test tenant_series
	$(with_tools) $(cargo) test --locked --quiet --test alerts

.PHONY: drill
drill: needs := $(control_plane) kstatus
drill: prerequisites ## The worst of days, for ten minutes; ROUNDS=n for how long, SEED=n to repeat a run
	$(cargo) test --locked --no-run --test drill
	ROUNDS=$${ROUNDS:-10} $(with_tools) $(cargo) test --locked --quiet --test drill

.PHONY: demo
demo: needs := $(control_plane) moto $(if $(METRICS),prometheus)
demo: prerequisites ## The whole story on this machine, told line by line; HOLD=1 keeps it up to play with; METRICS=1: with Prometheus
	$(cargo) build --locked --bin cognito-password-operator --example demo
	$(with_tools) $(cargo) run --locked --quiet --example demo

.PHONY: bench
bench: needs := $(control_plane)
bench: prerequisites ## Speed and memory, each figure beside its floor; RESOURCES=n, SCENARIO=a,b, OUT=file, STRICT=1
	$(with_tools) $(cargo) bench --locked --bench bench

.PHONY: soak
soak: needs := $(control_plane)
soak: prerequisites ## Ten minutes of coming and going, after which nothing may be left; MINUTES=n, RESOURCES=n
	SCENARIO=soak STRICT=1 OUT=$${OUT:-target/soak.json} $(with_tools) $(cargo) bench --locked --bench bench

.PHONY: image
image: ## The container image, from scratch; IMAGE=name:tag, CONTAINER_TOOL=docker|podman|buildah
	image/build.sh

.PHONY: plugin
plugin: needs := bill
plugin: prerequisites ## The plugin of kubectl for this machine: archive, checksum, krew's manifest; RELEASES=URL for the manifest
	plugin/build.sh

.PHONY: supply-chain
supply-chain: needs := bill
supply-chain: prerequisites ## Licenses, bans and sources of all dependencies (deny.toml); the SBOM, and the same list in the binary
	supply-chain/check.sh

.PHONY: advisories
advisories: ## Known vulnerabilities of the dependencies; asks github.com, so it isn't a part of `make test`
	supply-chain/advisories.sh

.PHONY: reproducible
reproducible: needs := bill
reproducible: prerequisites ## Two release builds in two folders, compared byte by byte; about twenty minutes
	supply-chain/reproducible.sh

.PHONY: crds
crds: ## Writes crds/ and the chart's copy anew, from the code
	@# Moved into place, so that a failed build leaves the old one.
	trap 'rm -f crds/.new' EXIT; \
	for name in cognitouserpasswords cognitouserpoolgrants; do \
		$(cargo) run --locked -- crd "$$name" > crds/.new; mv crds/.new "crds/$$name.yaml"; \
		cp "crds/$$name.yaml" charts/cognito-password-operator/files/crds/; \
	done

.PHONY: chart-files
chart-files: needs := helm-docs
chart-files: prerequisites ## Writes the chart's README, and the copies of alerts and dashboard in charts/ and deploy/, anew
	cp monitoring/rules.yaml monitoring/tenant-rules.yaml charts/cognito-password-operator/files/monitoring/
	cp monitoring/dashboards/cognito-password-operator.json charts/cognito-password-operator/files/monitoring/dashboard.json
	@# The head of each PrometheusRule stays; the rules below `spec` are those of monitoring/.
	copy() { { sed '/^spec:/q' "$$2"; sed -n '/^groups:/,$$s/^./  &/p' "$$1"; } > "$$2.new"; mv "$$2.new" "$$2"; }; \
	copy monitoring/rules.yaml deploy/monitoring/prometheus-rule.yaml; \
	copy monitoring/tenant-rules.yaml deploy/monitoring/tenants/prometheus-rule.yaml
	$(with_tools) sh -c '"$$CPO_HELM_DOCS" --chart-search-root charts'

.PHONY: lint
lint: ## Format and lints, warnings denied
	cargo fmt --check
	$(cargo) clippy --locked --all-targets -- -D warnings
	@# The plugin of kubectl as it is shipped: without the operator.
	$(cargo) clippy --locked --no-default-features --lib --bins -- -D warnings
	@# The tests that `cargo test` leaves out, and so does --all-targets.
	$(cargo) clippy --locked --test install --test alerts --test gitops --test tenant_series -- -D warnings

.PHONY: tools
tools: ## All that the tests run (Kubernetes, moto): built and installed once, into a cache outside the checkout
	tests/with-tools.sh env | grep ^CPO_

# Lists everything that is missing, before any build starts.
.PHONY: prerequisites
prerequisites:
	@tests/prerequisites.sh $(needs)
