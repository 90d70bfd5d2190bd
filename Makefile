# `make` lists the targets. Everything installs itself first, into .venv and .venv-localstack.

# What somebody's shell says to another Python must not reach this one: PYTHONPATH, PYTHONSAFEPATH, PYTHONWARNINGS...
unexport $(filter-out PYTHON,$(filter PYTHON%,$(.VARIABLES))) VIRTUAL_ENV
# Text is UTF-8, whatever the terminal is said to take.
export PYTHONUTF8 := 1
override PYTHON := $(or $(strip $(PYTHON)),python3)
NEWER_PYTHON := This needs Python 3.11 or newer. On Debian and Ubuntu: sudo apt install python3 python3-venv; on macOS: brew install python. If it has another name: make PYTHON=python3.11 ...
RUN := .venv/bin/python -m
PACKAGES := shared services infra tools benchmarks tests
# Processes that share the files of tests among them, each with servers of its own.
override JOBS := $(or $(strip $(JOBS)),3)
# The longest files first, so that no process is left alone with one in the end.
KINDS := acceptance integration contract unit architecture

.DEFAULT_GOAL := help

.PHONY: help
help: ## list these targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: bootstrap
bootstrap: ## make the virtual environments (done by the other targets)
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing. $(NEWER_PYTHON)"; exit 1; }
	@$(PYTHON) -I -c 'import sys; sys.exit(sys.version_info < (3, 7))' || { echo "$(PYTHON) is too old even to say so. $(NEWER_PYTHON)"; exit 1; }
	@$(PYTHON) -I tools/bootstrap.py

.PHONY: demo
demo: bootstrap ## run the whole system here, without Docker, until Ctrl-C (EXIT=1: end by itself; KEEP=1: go on with the data of the run before; RESTART=1: start again what you kill)
	@exec $(RUN) tools.demo.main $(if $(filter 1,$(EXIT)),--exit) $(if $(filter 1,$(KEEP)),--keep) $(if $(filter 1,$(RESTART)),--restart)

.PHONY: servers
servers: bootstrap ## keep a Postgres and a LocalStack up for the tests, until Ctrl-C
	@exec $(RUN) tools.embedded.main

.PHONY: up
up: ## run the whole system in containers (RELAYS=3: so many order relays; MAIL=1: mails to look at)
	@docker compose version >/dev/null 2>&1 || { echo "This needs Docker with its compose plugin; make demo needs neither."; exit 1; }
	$(if $(RELAYS),ORDER_RELAY_PORT=0) $(if $(MAIL),SENDER=smtp) docker compose $(if $(MAIL),--profile mail) up --build --detach --wait $(if $(RELAYS),--scale order-relay=$(RELAYS))

.PHONY: down
down: ## stop and remove the containers, their data too
	docker compose down --volumes

.PHONY: test
test: bootstrap ## run all tests but the stress tests, the slowest ten shown (ARGS="-k name": some; JOBS=1: one by one)
	@$(RUN) pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder $(KINDS:%=tests/%) $(ARGS)

.PHONY: test-architecture
test-architecture: bootstrap ## run the tests of the house rules
	@$(RUN) pytest tests/architecture $(ARGS)

.PHONY: test-unit
test-unit: bootstrap ## run the tests that need no server
	@$(RUN) pytest tests/unit $(ARGS)

.PHONY: test-contract
test-contract: bootstrap ## run the tests of formats and interfaces
	@$(RUN) pytest tests/contract $(ARGS)

.PHONY: test-integration
test-integration: bootstrap ## run the tests of one room with its real server
	@$(RUN) pytest tests/integration $(ARGS)

.PHONY: test-acceptance
test-acceptance: bootstrap ## run the tests of the whole system
	@$(RUN) pytest tests/acceptance $(ARGS)

.PHONY: test-stress
test-stress: bootstrap ## run the long tests: searches of schedules, relays killed under load, costs against the baseline, Schemathesis
	@$(RUN) pytest --numprocesses $(JOBS) --dist loadfile tests/stress $(ARGS)

.PHONY: test-scale
test-scale: bootstrap ## look at an outbox of a million rows: what reads, counts, confirms, sweeps or replays (ROWS=... for another number)
	@OUTBOX_ROWS=$(or $(ROWS),1000000) $(RUN) pytest -s tests/integration/test_outbox_scale.py tests/integration/test_outbox_scale_operations.py tests/integration/test_confirmation_scale.py

.PHONY: bench
bench: bootstrap ## measure speed as ratios in one run, in minutes; writes docs/benchmarks (PARTS="relay consumer orders chain rivals": some)
	@$(RUN) benchmarks.suite $(PARTS) $(ARGS)

.PHONY: bench-full
bench-full: bootstrap ## the same with more rounds, events and rates, in hours; for a machine that does nothing else
	@$(RUN) benchmarks.suite --size full $(PARTS) $(ARGS)

.PHONY: mutants
mutants: bootstrap ## plant known mistakes into copies of the code and see that the tests find each (NAME=... for one)
	@$(RUN) tools.mutants $(NAME)

.PHONY: test-api
test-api: bootstrap ## let Schemathesis call every service by its OpenAPI document (a part of test-stress)
	@$(RUN) pytest tests/contract/test_openapi.py tests/stress/test_rest_apis.py $(ARGS)

.PHONY: test-compose
test-compose: bootstrap ## bring the containers up for real, kill each, scale the relays; needs Docker
	@$(RUN) pytest tests/acceptance/test_compose.py $(ARGS)

.PHONY: check
check: bootstrap ## lint, types, arrows between rooms, templates, house rules
	@$(RUN) ruff check .
	@$(RUN) ruff format --check --quiet . || { echo "not formatted: run make fmt"; exit 1; }
	@$(RUN) mypy $(PACKAGES)
	@.venv/bin/lint-imports
	@.venv/bin/cfn-lint infra/templates/*.yaml
	@$(RUN) pytest --quiet tests/architecture

.PHONY: fmt
fmt: bootstrap ## format the code and mend what lint can mend
	@$(RUN) ruff check --fix --quiet . || true
	@$(RUN) ruff format --quiet .

.PHONY: new-service
new-service: bootstrap ## write a service that runs (NAME=billing EVENTS=order.placed [PUBLISHES=billing.charged])
	@$(RUN) tools.scaffold.main "$(NAME)" --events "$(EVENTS)" --publishes "$(PUBLISHES)"

.PHONY: topology-check
topology-check: bootstrap ## compare the topology that runs with what is declared (ARGS="--prefix x- --endpoint-url ...")
	@$(RUN) infra.check $(ARGS)

.PHONY: lock
lock: bootstrap ## write the locks from their inputs (UPGRADE=1: newer versions)
	@$(RUN) tools.locks $(if $(filter 1,$(UPGRADE)),--upgrade)

.PHONY: reference
reference: bootstrap ## write the pages of docs/reference that come from the code
	@$(RUN) tools.reference.main
