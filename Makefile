# Two commands are enough: `make run` and `make test`. `make` alone lists the others.
SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

SYSTEM_UV := $(shell command -v uv 2>/dev/null)
UV := $(if $(SYSTEM_UV),$(SYSTEM_UV),.tools/uv/bin/uv)
# Bytecode at install time: without it the services take 8.5 s instead of 3.3 s to answer (measured).
export UV_COMPILE_BYTECODE = 1
PY := .venv/bin/python
WORKERS ?= 2
ARGS ?=

.PHONY: help
help: ## this list
	@awk 'BEGIN {FS = ":.*## "; print "Kubernaut services. Targets:\n"} /^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(UV):
	@sh tools/get-uv.sh

# What `make run` needs. Adds to an environment that has more (tests, linters), so the two never fight.
.venv/.run: pyproject.toml uv.lock | $(UV)
	@echo "Installing the services (a minute, once) …"
	@$(UV) sync --quiet --frozen --inexact --no-default-groups --group run
	@$(PY) -m compileall -q libs services cli
	@touch $@

.venv/.dev: pyproject.toml uv.lock | $(UV)
	@echo "Installing what the tests and checks need …"
	@$(UV) sync --quiet --frozen --inexact
	@$(PY) -m compileall -q libs services cli
	@touch $@ .venv/.run

# HolmesGPT pins other versions than everything else of ours, so it has an environment of its own.
.venv-holmes/.done: pyproject.toml uv.lock | $(UV)
	@echo "Installing HolmesGPT in an environment of its own (about 200 packages, 0.5 GB; once) …"
	@UV_PROJECT_ENVIRONMENT=.venv-holmes $(UV) sync --quiet --frozen --only-group holmes-engine
	@touch $@

.PHONY: engine
engine: .venv-holmes/.done ## install HolmesGPT beside the services; needed only where a model is configured

# A missing engine is no missing test run: what needs it is skipped by name, and fails when CI=true.
.PHONY: test-engine
test-engine:
	@$(MAKE) engine || echo "HolmesGPT could not be installed. Tests that need it are skipped by name." >&2

.PHONY: install
install: .venv/.run ## install what the services need, nothing else

# A model that the configuration file alone names counts too; only then a program is asked.
NAMED_IN_FILE = $(if $(strip $(HOLMESGPT_CONFIG_FILE)),$(shell HOLMESGPT_CONFIG_FILE='$(HOLMESGPT_CONFIG_FILE)' python3 cli/doctor/models.py))
ENGINE = $(if $(strip $(MODEL)$(HOLMESGPT_LLM_MODEL)$(NAMED_IN_FILE)),.venv-holmes/.done)

.PHONY: run
run: .venv/.run $(ENGINE) ## start everything, post the bundled incident, print the report, keep serving (ARGS="--once" to stop then)
	@exec ./kubernaut run $(ARGS)

.PHONY: test-programs
test-programs:
	@sh tools/test-programs.sh redis-server=redis-server prometheus=prometheus promtool=prometheus prometheus-alertmanager=prometheus-alertmanager

.PHONY: testbed
testbed: .venv/.dev ## build the Kubernetes test bed: API server, etcd, controllers, KWOK … (minutes and 8 GiB, once)
	@UV="$(UV)" $(PY) -m tests.testbed build

# What cannot be built here (no Go, no network) keeps no other test from running.
.PHONY: testbed-or-say
testbed-or-say: .venv/.dev
	@UV="$(UV)" $(PY) -m tests.testbed build --optional

.PHONY: test
test: .venv/.dev test-programs test-engine testbed-or-say ## every test, on real PostgreSQL, Redis, Prometheus, SMTP, HolmesGPT and Kubernetes (ARGS="-k name" to choose)
	@$(PY) -m pytest -n $(WORKERS) --dist loadgroup $(ARGS)

.PHONY: e2e-current
e2e-current: .venv/.dev ## the end-to-end tests with the current Prometheus and Alertmanager, built once from source
	@UV=$(UV) sh tools/current-prometheus.sh $(PY) -m pytest tests/e2e/test_prometheus.py $(ARGS)

.PHONY: e2e-local-model
e2e-local-model: .venv/.dev engine ## one investigation with a small real language model on this machine (130 MB to fetch, minutes to run)
	@UV=$(UV) sh tools/local-model.sh $(PY) $(PY) -m pytest -m campaign -s tests/e2e/test_local_model.py $(ARGS)

.PHONY: doctor
doctor: ## what this machine has, what is missing, and how to get it (ARGS="--json"); works before anything is installed
	@./kubernaut doctor $(ARGS)

.PHONY: check
check: .venv/.dev ## formatting, lint, types, import directions, generated files
	@.venv/bin/ruff format --check --quiet . || { echo "run: make format"; exit 1; }
	@.venv/bin/ruff check --quiet .
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@$(PY) -m tools.requirements --check
	@$(PY) -m tools.openapi --check
	@$(PY) -m tools.settings_docs --check
	@$(PY) -m tools.dashboards --check

.PHONY: format
format: .venv/.dev ## format the code and mend what ruff can mend
	@.venv/bin/ruff format --quiet .
	@.venv/bin/ruff check --quiet --fix .

.PHONY: generate
generate: requirements openapi settings dashboards ## every generated document

.PHONY: requirements
requirements: .venv/.dev ## docs/requirements.md: requirement id -> tests, and the ids without one
	@$(PY) -m tools.requirements

.PHONY: openapi
openapi: .venv/.dev ## docs/openapi/*.json from the services
	@$(PY) -m tools.openapi

.PHONY: settings
settings: .venv/.dev ## docs/settings.md from the settings classes
	@$(PY) -m tools.settings_docs

.PHONY: dashboards
dashboards: .venv/.dev ## monitoring/*/dashboard.json from the panels.yaml beside it
	@$(PY) -m tools.dashboards

.PHONY: bench
bench: .venv/.dev engine ## measure the ratios and write docs/benchmarks.md
	@sh tools/test-programs.sh wrk=wrk
	@$(PY) -m tests.bench $(ARGS)

.PHONY: bench-engine
bench-engine: .venv/.dev engine ## measure our engine beside a plain app around the SDK and write its part of docs/benchmarks.md (ARGS="--runs 200" for a shorter one)
	@$(PY) -m tests.bench.beside $(ARGS)

.PHONY: bench-flood
bench-flood: .venv/.dev engine ## measure what one tenant notices of another that asks ten times as much; its part of docs/benchmarks.md
	@$(PY) -m tests.bench.flood $(ARGS)

.PHONY: bench-cache
bench-cache: .venv/.dev ## measure the watching cache with 50,000 pods and write its part of docs/benchmarks.md
	@$(PY) -m tests.bench.cache $(ARGS)

.PHONY: triage-eval
triage-eval: .venv/.dev ## ask triage about every incident of the corpus; the table goes to docs/benchmarks.md
	@$(PY) -m tests.incidents eval --write $(ARGS)

.PHONY: relevance-eval
relevance-eval: .venv/.dev ## compare bundles with what people labelled as relevant; the table goes to docs/benchmarks.md
	@$(PY) -m tests.relevance --write

.PHONY: context-eval
context-eval: .venv/.dev ## asking our tools against everything in the prompt at once; the table goes to docs/benchmarks.md (ARGS="--blind" for both halves)
	@$(PY) -m tests.asking --write $(ARGS)

.PHONY: incidents
incidents: testbed ## play the corpus' incidents on the test bed and record them anew (ARGS="NAME …" for some)
	@$(PY) -m tests.incidents play $(ARGS)

.PHONY: chaos
chaos: .venv/.dev ## the long kill campaigns (a short version is part of `make test`)
	@$(PY) -m pytest -m campaign tests/chaos -s $(ARGS)

.PHONY: fuzz
fuzz: .venv/.dev ## long schema fuzzing of the four APIs (a short version is part of `make test`)
	@$(PY) -m pytest -m campaign tests/fuzz -s $(ARGS)

.PHONY: isolation
isolation: .venv/.dev ## 100,000 operations of two tenants against each other; a row a round in docs/isolation.md
	@sh tools/test-programs.sh redis-server=redis-server
	@$(PY) -m tests.isolation $(ARGS)

.PHONY: incident
incident: testbed ## play the bundled incident on the test bed and record it anew into examples/
	@$(PY) -m tests.testbed incident $(ARGS)

.PHONY: fresh
fresh: ## try the two commands in a fresh clone with an empty HOME (ARGS="--tests" for `make test` too)
	@python3 tools/fresh_clone.py $(ARGS)

.PHONY: hooks
hooks: .venv/.dev ## install the pre-commit hooks
	@.venv/bin/pre-commit install

.PHONY: clean
clean: ## remove the environments and caches (not the data in .kubernaut)
	@rm -rf .venv .venv-holmes .tools .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
