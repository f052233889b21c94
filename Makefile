# Two commands do everything: `make run` and `make test`. `make help` lists the rest.
PYTHON ?= python3
PORT ?= 8501
SURVEY ?= cache/demo
DEMO := cache/demo
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help run test venv dev check bench peers demo chromium nginx screenshots

help: ## show this list
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: venv ## build the demo survey if it is not there, open the dashboard (PORT=, SURVEY=)
	@if [ "$(SURVEY)" = "$(DEMO)" ]; then $(MAKE) --no-print-directory demo; fi
	$(BIN)/rrs serve $(SURVEY) --port $(PORT)

demo: venv
	@if [ ! -f $(DEMO)/manifests/project.json ]; then \
	  echo "Making the demo survey (a few minutes, once): simulated scans, then hits, latents, map."; \
	  $(BIN)/rrs simulate cache/demo-scans --preset demo && $(BIN)/rrs build $(DEMO) cache/demo-scans --workers 2; fi

venv: .venv/run.done ## make .venv and install the pinned requirements

.venv/run.done: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON="; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

dev: .venv/dev.done

.venv/dev.done: .venv/run.done requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

# The browser tests drive a real Chromium: CHROMIUM=, one on the PATH, or Debian's package.
chromium:
	@for name in chromium chromium-browser google-chrome-stable google-chrome chrome; do \
	  if [ -n "$$CHROMIUM" ] || command -v $$name >/dev/null 2>&1; then exit 0; fi; \
	done; \
	if command -v apt-get >/dev/null 2>&1; then \
	  sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  $$sudo apt-get update -qq && $$sudo apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
	else echo "No Chromium found: install one, or set CHROMIUM to its path."; exit 1; fi

# The tests of deploy/nginx.conf run a real nginx. Debian's package also starts one as a service, which nobody wants on a
# machine of their own: it is installed where root works, as in a container; elsewhere those tests say that they are skipped.
nginx:
	@if [ -x /usr/sbin/nginx ] || command -v nginx >/dev/null 2>&1; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends nginx-light >/dev/null; \
	else echo "No nginx found: the tests of deploy/nginx.conf are skipped."; fi

test: dev chromium nginx ## run every test, in a browser too
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

check: dev ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# turbo_seti needs numpy below 2 and an older setuptools: an environment of its own, for comparisons alone.
peers: .venv-peers/done ## turbo_seti in .venv-peers, which `make bench` compares with

.venv-peers/done: requirements-peers.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-peers.txt
	@touch $@

screenshots: dev chromium demo ## draw the pictures of docs/tour.md anew, from the demo survey
	$(BIN)/python docs/screenshots.py

bench: dev chromium demo ## measure; prints ratios, writes benchmarks/results.json
	$(BIN)/python -m benchmarks
