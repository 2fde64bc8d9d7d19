# One environment (.venv) and one page build (client_web/dist), each made when it is missing or out of date.
#   make serve   walk in the browser            make check     lint, types and the fast tests, under a minute
#   make test    everything, with Chromium      make realtime  what judges how fast an idle machine is
#   make install  make install-dev  make format  make bench  make clean
# A machine without a GPU can spare itself CUDA's gigabytes: make TORCH_INDEX=<PyTorch's CPU wheel index> serve

PYTHON ?= python3
TORCH_INDEX ?=
HOST ?=
PORT ?=
MODEL ?=
WORKERS ?= 2
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTEST := $(BIN)/python -m pytest
# A module's tests stay together, so that what they share is made once.
PARALLEL := --numprocesses $(WORKERS) --dist loadscope
TORCH := $(shell sed -n 's/^torch==/torch==/p' requirements.lock)
PAGE := client_web/dist/index.html
PAGE_SOURCES := $(shell find client_web/src client_web/public -type f 2>/dev/null) \
	$(wildcard client_web/*.html client_web/*.ts client_web/*.json)

.DELETE_ON_ERROR:
.PHONY: install install-dev serve test realtime check check-style check-page check-fast format bench clean

install: .venv/.runtime $(PAGE)

install-dev: .venv/.dev

serve: install
	$(BIN)/worldplay serve$(if $(HOST), --host $(HOST))$(if $(PORT), --port $(PORT))$(if $(MODEL), --model $(MODEL))

test: .venv/.dev $(PAGE)
	cd client_web && npm run --silent test
	$(PYTEST) $(PARALLEL) -m "not realtime"

realtime: .venv/.dev $(PAGE)
	$(PYTEST) -m realtime

check: .venv/.dev client_web/node_modules/.package-lock.json
	@$(MAKE) --no-print-directory --jobs 3 --output-sync=target check-fast check-style check-page

check-fast:
	$(PYTEST) $(PARALLEL) -m "not browser and not slow and not realtime" -q

check-style:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy server/worldplay scripts

check-page:
	cd client_web && npm run --silent check
	cd client_web && npm run --silent test

format: .venv/.dev client_web/node_modules/.package-lock.json
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format .
	cd client_web && npm run --silent format

bench: .venv/.runtime
	$(BIN)/worldplay bench

clean:
	rm -rf .venv client_web/node_modules client_web/dist .pytest_cache .mypy_cache .ruff_cache

.venv/.torch: requirements.lock
	$(PYTHON) -c 'import sys; sys.exit("Python 3.10 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 10) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) install $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	@touch $@

.venv/.runtime: .venv/.torch pyproject.toml
	$(PIP) install -c requirements.lock -e .
	@touch $@

.venv/.dev: .venv/.torch pyproject.toml
	$(PIP) install -c requirements.lock -e '.[dev]'
	@touch $@ .venv/.runtime

$(PAGE): client_web/node_modules/.package-lock.json $(PAGE_SOURCES)
	cd client_web && npm run --silent build

client_web/node_modules/.package-lock.json: client_web/package-lock.json
	@command -v npm >/dev/null || { echo "The page is built by npm: install Node.js 20 or newer, then run make again." >&2; exit 1; }
	cd client_web && npm ci --silent --no-audit --no-fund
	@touch $@
