# `make` lists the targets. Each target first installs what it needs into .venv and .venv-localstack.

# Variables for another Python must not affect this one: PYTHONPATH, PYTHONSAFEPATH, PYTHONWARNINGS...
unexport $(filter-out PYTHON,$(filter PYTHON%,$(.VARIABLES))) VIRTUAL_ENV
# Text is UTF-8, whatever the encoding of the terminal is.
export PYTHONUTF8 := 1
override PYTHON := $(or $(strip $(PYTHON)),python3)
NEWER_PYTHON := Python 3.11 or newer is required. On Debian and Ubuntu: sudo apt install python3 python3-venv; on macOS: brew install python. If it has another name: make PYTHON=python3.11 ...
RUN := .venv/bin/python -m
PACKAGES := shared services infra tools benchmarks comparisons tests
# Number of test processes, each with its own servers.
override JOBS := $(or $(strip $(JOBS)),3)
# The longest tests first, so that the processes finish at the same time. `make check` runs those of the rules.
KINDS := acceptance integration contract unit

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: bootstrap
bootstrap: ## create the virtual environments (the other targets do this first)
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing. $(NEWER_PYTHON)"; exit 1; }
	@$(PYTHON) -I -c 'import sys; sys.exit(sys.version_info < (3, 7))' || { echo "$(PYTHON) is too old. $(NEWER_PYTHON)"; exit 1; }
	@$(PYTHON) -I tools/bootstrap.py

.PHONY: demo
demo: bootstrap ## run the whole system without Docker until Ctrl-C (EXIT=1: exit after the scenario; KEEP=1: keep the data of the previous run; RESTART=1: restart processes that you kill)
	@exec $(RUN) tools.demo.main $(if $(filter 1,$(EXIT)),--exit) $(if $(filter 1,$(KEEP)),--keep) $(if $(filter 1,$(RESTART)),--restart)

.PHONY: servers
servers: bootstrap ## run a Postgres and a LocalStack for the tests until Ctrl-C (ARGS=--postgres-port=25433: another port)
	@exec $(RUN) tools.embedded.main $(ARGS)

.PHONY: up
up: ## run the whole system in containers (RELAYS=3: number of order relays; MAIL=1: with a mail viewer; OBSERVABILITY=1: with dashboards and traces)
	@docker compose version >/dev/null 2>&1 || { echo "Docker with the compose plugin is required; make demo runs without it."; exit 1; }
	$(if $(RELAYS),ORDER_RELAY_PORT=0) $(if $(MAIL),SENDER=smtp) $(if $(OBSERVABILITY),OTEL_EXPORTER_OTLP_ENDPOINT=http://jaeger:4318 TRACE_URL=http://127.0.0.1:16686/trace/{trace_id}) \
	docker compose $(if $(MAIL),--profile mail) $(if $(OBSERVABILITY),--profile observability) up --build --detach --wait $(if $(RELAYS),--scale order-relay=$(RELAYS))

.PHONY: down
down: ## stop and remove the containers with their data
	docker compose --profile mail --profile observability down --volumes

.PHONY: test
test: bootstrap ## run all tests except the rules for the code (make check) and the stress tests (ARGS="-k name": select tests; JOBS=1: in one process)
	@$(RUN) pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder $(KINDS:%=tests/%) $(ARGS)

.PHONY: test-architecture
test-architecture: bootstrap ## run the tests of the rules for the code
	@$(RUN) pytest tests/architecture $(ARGS)

.PHONY: test-unit
test-unit: bootstrap ## run the tests without servers
	@$(RUN) pytest tests/unit $(ARGS)

.PHONY: test-contract
test-contract: bootstrap ## run the tests of formats and interfaces
	@$(RUN) pytest tests/contract $(ARGS)

.PHONY: test-integration
test-integration: bootstrap ## run the tests of single parts with real servers
	@$(RUN) pytest tests/integration $(ARGS)

.PHONY: test-acceptance
test-acceptance: bootstrap ## run the tests of the whole system
	@$(RUN) pytest tests/acceptance $(ARGS)

.PHONY: test-stress
test-stress: bootstrap ## run the long tests: model checks, relays killed under load, costs compared with the baseline, Schemathesis
	@$(RUN) pytest --numprocesses $(JOBS) --dist loadfile tests/stress $(ARGS)

# The tests that run relays of the outbox with real servers. Those of the source itself run with make test.
WAL_TESTS := acceptance/test_broker_outage acceptance/test_dashboards acceptance/test_first_order acceptance/test_privacy acceptance/test_saga acceptance/test_silent_relay \
	acceptance/test_tracing acceptance/test_trio acceptance/test_zero_payload integration/test_cli_doctor integration/test_cli_events integration/test_cli_outbox \
	integration/test_database_faults integration/test_held_groups integration/test_malformed_rows integration/test_new_broker integration/test_other_brokers \
	integration/test_publish_check integration/test_readiness integration/test_relay integration/test_relay_broker_faults integration/test_relay_clocks \
	integration/test_relay_connections integration/test_relay_pooler integration/test_relay_recovery integration/test_relay_wal integration/test_wal_source \
	integration/test_wal_slots integration/test_wal_limits stress/test_relay_fleet stress/test_restored_databases stress/test_wal_large_transaction

.PHONY: test-wal
test-wal: bootstrap ## run the tests of relays with SOURCE=wal
	@TEST_SOURCE=wal $(RUN) pytest --numprocesses $(JOBS) --dist loadfile $(WAL_TESTS:%=tests/%.py) $(ARGS)

.PHONY: faults
faults: bootstrap ## inject the catalogue of faults into the running system (FAULT=26 SEED=7: one; SEEDS=20; PAIRS=30; ARGS=--list)
	@$(RUN) tests.faults.main $(FAULT:%=--fault %) $(if $(SEED),--seed $(SEED)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(PAIRS),--pairs $(PAIRS)) $(ARGS)

.PHONY: soak
soak: bootstrap ## run the system under load with random faults, and test that nothing grows (MINUTES=30)
	@$(RUN) tests.faults.soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: test-scale
test-scale: bootstrap ## test an outbox with a million rows (ROWS=...: another number)
	@OUTBOX_ROWS=$(or $(ROWS),1000000) $(RUN) pytest -s tests/integration/test_outbox_scale.py tests/integration/test_outbox_scale_operations.py tests/integration/test_confirmation_scale.py

.PHONY: bench
bench: bootstrap ## measure speed as ratios in one run, in minutes; writes docs/benchmarks (PARTS="relay chain": some)
	@$(RUN) benchmarks.suite $(PARTS) $(ARGS)

.PHONY: bench-full
bench-full: bootstrap ## the same with more rounds, events and rates, in hours; for a machine that does nothing else
	@$(RUN) benchmarks.suite --size full $(PARTS) $(ARGS)

.PHONY: compare
compare: bootstrap ## run the choices beside their alternatives and write docs/comparisons (PARTS="atomicity": some; LINE=...: one line; SEED=7)
	@$(RUN) comparisons $(PARTS) $(foreach line,$(LINE),--line $(line)) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: model
model: bootstrap ## search for schedules that break a promise, with other random choices each time (MINUTES=60, for each variant)
	@MODEL_MINUTES=$(or $(MINUTES),60) $(RUN) pytest -n 2 tests/stress/test_relay_model.py tests/stress/test_inbox_model.py $(ARGS)

.PHONY: mutants
mutants: bootstrap ## verify that the tests detect known mistakes in copies of the code (NAME=...: one; ARGS=--baseline: and pass without them)
	@$(RUN) tools.mutants $(NAME) $(ARGS)

.PHONY: test-api
test-api: bootstrap ## test every service against its OpenAPI document with Schemathesis (part of test-stress)
	@$(RUN) pytest tests/contract/test_openapi.py tests/stress/test_rest_apis.py $(ARGS)

.PHONY: test-roles
test-roles: bootstrap ## run the system and a matrix of calls under its IAM policies, on LocalEmu in .venv-localemu; requires Python 3.12 or 3.13
	@status=0; $(PYTHON) -I tools/localemu.py || status=$$?; test $$status -ne 3 || exit 0; test $$status -eq 0 && $(RUN) pytest tests/stress/test_least_privilege.py $(ARGS)

.PHONY: test-compose
test-compose: bootstrap ## start the containers, kill each, and scale the relays; requires Docker
	@$(RUN) pytest tests/acceptance/test_compose.py $(ARGS)

.PHONY: check
check: bootstrap ## check lint, types, import contracts, templates, changes of events and rules for the code
	@$(RUN) ruff check .
	@$(RUN) ruff format --check --quiet . || { echo "not formatted: run make fmt"; exit 1; }
	@$(RUN) mypy $(PACKAGES)
	@.venv/bin/lint-imports
	@.venv/bin/cfn-lint infra/templates/*.yaml
	@$(RUN) tools.catalog.check
	@$(RUN) pytest --quiet tests/architecture

.PHONY: fmt
fmt: bootstrap ## format the code and apply automatic lint fixes
	@$(RUN) ruff check --fix --quiet . || true
	@$(RUN) ruff format --quiet .

.PHONY: new-service
new-service: bootstrap ## generate a service that runs (NAME=billing EVENTS=order.placed [PUBLISHES=billing.charged])
	@$(RUN) tools.scaffold.main "$(NAME)" --events "$(EVENTS)" --publishes "$(PUBLISHES)"

.PHONY: topology-check
topology-check: bootstrap ## compare the running topology with its templates (ARGS="--prefix x- --endpoint-url ...")
	@$(RUN) infra.check $(ARGS)

.PHONY: lock
lock: bootstrap ## write the locks from their inputs (UPGRADE=1: with newer versions)
	@$(RUN) tools.locks $(if $(filter 1,$(UPGRADE)),--upgrade)

.PHONY: vendor
vendor: bootstrap ## copy the console's libraries for browsers from their npm packages
	@$(RUN) tools.vendor

.PHONY: dist
dist: bootstrap ## build the wheels and source archives of the library and the relay into dist/
	@$(RUN) tools.dist

.PHONY: follow-one-order
follow-one-order: bootstrap ## write the output of its commands into docs/how-to/follow-one-order.md, on a demo of its own
	@$(RUN) tools.page_output docs/how-to/follow-one-order.md

.PHONY: release-events
release-events: bootstrap ## record the events in the code as those of a release, which later changes must not break
	@$(RUN) tools.catalog.check --record

.PHONY: console-times
console-times: bootstrap ## measure how long the console takes for each page; URL= of a running one, else a crowded system; requires Chromium
	@$(RUN) tests.support.console_times $(if $(URL),--url $(URL))

.PHONY: screenshots
screenshots: bootstrap ## take the pictures of the console in docs/images; requires Chromium
	@$(RUN) tests.support.screenshots

.PHONY: reference
reference: bootstrap ## generate the pages of docs/reference, the schemas, the AsyncAPI documents and the dashboards from the code
	@$(RUN) tools.reference.main
	@$(RUN) tools.dashboards.main
