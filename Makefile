# One environment (.venv) and one build of the page, each made when it is missing or out of date. `make help` lists what there is.

# The environment and the page are made beside each other: pip uses one core.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += --jobs=2
endif

PYTHON ?= python3
TORCH_INDEX ?=
WORKERS := 3
BIN := .venv/bin
# Bytecode is made of what is imported, not of all that is installed, which takes a minute more. It is kept even
# where the environment forbids it: every start would take ten seconds longer, and tests start hundreds of processes.
HAS_PIP := $(BIN)/python -c 'import pip' 2>/dev/null
INSTALL := $(BIN)/python -m pip --disable-pip-version-check --quiet install --no-compile
PYTHON_KEEPING_BYTECODE := PYTHONDONTWRITEBYTECODE= $(BIN)/python
COMPILE := $(PYTHON_KEEPING_BYTECODE) -c 'import worldplay.web.app, worldplay.world.released.load'
PYTEST := $(PYTHON_KEEPING_BYTECODE) -m pytest
# A module's tests stay together, so that what they share is made once; tests/conftest.py orders modules.
PARALLEL := --numprocesses $(WORKERS) --dist loadscope --no-loadscope-reorder
# Files without a fast test, which import much.
ALL_SLOW := tests/browser tests/web/test_api_fuzz.py
TORCH := $(shell sed -n 's/^torch==/torch==/p' requirements.lock)
PAGE := server/worldplay/web/page/index.html
PAGE_SOURCES := $(shell find client_web/src client_web/public -type f 2>/dev/null) \
	$(wildcard client_web/*.html client_web/*.ts client_web/*.json)

# Settings of `make serve`: only those given to make itself. HOST, TOKEN and so on in the environment may have another purpose.
given = $(filter command,$(firstword $(origin $1)))
option = $(if $(call given,$1), $2 '$(subst ','\'',$($1))')
SERVE_OPTIONS = $(call option,HOST,--host)$(call option,PORT,--port)$(call option,MODEL,--model)$(call \
	option,VARIANT,--variant)$(call option,SIZE,--size)$(call option,WEIGHTS_DIR,--weights-dir)$(call \
	option,DEVICE,--device)$(call option,GPUS,--gpus)$(call option,ATTENTION,--attention)$(call option,TIER,--tier)$(call \
	option,GRAPHS,--graphs)$(call option,MAX_SESSIONS,--max-sessions)$(call option,LATCH,--latch)$(call \
	option,TOKEN_FILE,--token-file)$(call option,ALLOW_ORIGIN,--allow-origin)$(call option,ALLOW_HOST,--allow-host)$(call \
	option,LOG_LEVEL,--log-level)$(call option,LOG_FORMAT,--log-format)

.DELETE_ON_ERROR:
.PHONY: install install-dev page serve help test test-page realtime check check-style check-page check-fast check-python check-node format bench clean

install: check-python check-node .venv/.runtime $(PAGE)

install-dev: .venv/.dev

page: $(PAGE)

serve: install
ifneq ($(call given,TOKEN),)
serve: export WORLDPLAY_TOKEN := $(value TOKEN)
endif
serve:
	$(BIN)/worldplay serve$(SERVE_OPTIONS)

help:
	@sed -n 's/^#: \{0,1\}//p' Makefile

#: make serve        install, build the page and serve it: open http://127.0.0.1:8000 and press W
#: make install      the Python environment in .venv, and the page
#: make install-dev  what tests and scripts need as well
#: make page         the page alone
#: make test         all tests, with Chromium       make check   lint, types and the fast tests
#: make realtime     tests that judge how fast an idle machine is
#: make format       format, fix what linters can    make bench   time the model, stage by stage
#: make clean        remove what was installed and built
#:
#: Variables, given after the target, as in `make serve PORT=9000 TOKEN=secret`:
#:   HOST, PORT      address to listen on [127.0.0.1, 8000]
#:   MODEL           embedded, hy-worldplay, or a folder that holds either [embedded]
#:   VARIANT, SIZE   of hy-worldplay [ar-distilled, 480x832]
#:   WEIGHTS_DIR     where hy-worldplay was downloaded to [~/.cache/worldplay]
#:   DEVICE          auto, cpu, cuda or cuda:N [auto]
#:   GPUS            how many compute the model together [1]
#:   ATTENTION, TIER, GRAPHS   how it is computed [auto, exact, auto]
#:   MAX_SESSIONS    visitors who walk at once [4, or as many as fit]
#:   LATCH           latent or chunk: when keys are read [latent; chunk for hy-worldplay]
#:   TOKEN, TOKEN_FILE           secret that visitors must present, or a file that holds it [none]
#:   ALLOW_ORIGIN, ALLOW_HOST    other origins and names under which the page may be reached [none]
#:   LOG_LEVEL, LOG_FORMAT       debug, info, warning or error; text or json [info, text]
#: Any other setting of docs/settings.md is given as in `make serve WORLDPLAY_MAX_QUEUED=3`.
#:
#: For the installation and the tests:
#:   PYTHON          the Python that makes .venv [python3]
#:   WORKERS         processes that run the tests [3]
#:   TORCH_INDEX     package index to install PyTorch from. PyTorch has one for machines without a GPU,
#:                   which spares gigabytes of CUDA; README.md has its address.

test: check-python check-node .venv/.dev test-page
	$(PYTEST) $(PARALLEL) -m "not realtime"

test-page: $(PAGE)
	cd client_web && npm run --silent test

realtime: .venv/.dev $(PAGE)
	$(PYTEST) -m realtime

check: check-python check-node .venv/.dev client_web/node_modules/.package-lock.json
	@$(MAKE) --no-print-directory --output-sync=target check-fast check-style check-page

check-fast:
	$(PYTEST) $(PARALLEL) -m "not browser and not slow and not realtime" $(ALL_SLOW:%=--ignore %) -q

check-style:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy server/worldplay scripts tests

check-page: test-page
	cd client_web && npm run --silent check

format: .venv/.dev client_web/node_modules/.package-lock.json
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format .
	cd client_web && npm run --silent format

bench: .venv/.runtime
	$(BIN)/worldplay bench

clean:
	rm -rf .venv client_web/node_modules $(dir $(PAGE)) build .pytest_cache .mypy_cache .ruff_cache

# Both are looked at first: PyTorch alone may be gigabytes to download.
check-python:
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.10 or newer is needed, found no $(PYTHON): name another with PYTHON=" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 10) else \
		"Python 3.10 or newer is needed, found " + sys.version.split()[0] + ": name another with PYTHON=")'
	@test -e .venv/.torch || $(HAS_PIP) || $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "Python's venv module is needed, found none: on Debian, apt install python3-venv" >&2; exit 1; }

NODE_FITS := const [major, minor] = process.versions.node.split(".").map(Number); \
	process.exit((major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22 ? 0 : 1)

check-node:
	@node -e '$(NODE_FITS)' 2>/dev/null && command -v npm >/dev/null || { \
		found=$$(node --version 2>/dev/null || echo none); command -v npm >/dev/null || found="$$found, without npm"; \
		echo "Node.js 20.19, 22.12 or newer is needed to build the page, found $$found" >&2; exit 1; }

# The pip that comes with Python 3.11 takes three times as long to install this.
.venv/.torch: requirements.lock | check-python
	$(HAS_PIP) || $(PYTHON) -m venv .venv
	$(INSTALL) --upgrade pip
	$(INSTALL) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	@touch $@

.venv/.runtime: .venv/.torch pyproject.toml
	$(INSTALL) -c requirements.lock -e .
	$(COMPILE)
	@touch $@

# Two at once would be in each other's way.
.venv/.dev: .venv/.torch pyproject.toml $(if $(filter install serve bench,$(MAKECMDGOALS)),.venv/.runtime)
	$(INSTALL) -c requirements.lock -e '.[dev]'
	$(COMPILE)
	@touch $@ .venv/.runtime

$(PAGE): client_web/node_modules/.package-lock.json $(PAGE_SOURCES)
	cd client_web && npm run --silent build

client_web/node_modules/.package-lock.json: client_web/package-lock.json | check-node
	cd client_web && npm ci --silent --no-audit --no-fund
	@touch $@
