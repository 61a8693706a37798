# Everything runs in .venv, which targets create when needed; no activation
# necessary. `make PYTHON=python3.11 ...` selects the interpreter.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Marks that the environment matches requirements.lock.
STAMP := $(VENV)/.installed
PIP := $(BIN)/pip --disable-pip-version-check install --quiet
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile

export TF_CPP_MIN_LOG_LEVEL ?= 3

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-slow lint bench lock clean

help:
	@echo 'make demo         train a small model on digits, draw its results'
	@echo 'make test         all tests except the slow ones'
	@echo 'make test-slow    the slow tests (many minutes)'
	@echo 'make bench        all benchmarks in benchmarks/'
	@echo 'make lint         ruff, and rules of plain English'
	@echo 'make venv         the environment in .venv (the others make it too)'
	@echo 'make lock         requirements.lock from the newest releases'
	@echo 'make clean        remove caches and outputs of demo and builds'

venv: $(STAMP)

CHECK_VERSION = import sys; v = sys.version_info[:2]; (3, 9) <= v <= (3, 11) \
  or sys.exit("error: TensorFlow 2.15 needs Python 3.9, 3.10 or 3.11, but \
  $(PYTHON) is %d.%d; install one of them and run for example: \
  make $(or $(MAKECMDGOALS),venv) PYTHON=python3.11" % v)

# With --no-build-isolation, source packages are built with the setuptools of
# the lock file instead of the newest one. The lock file is for Python 3.11;
# older versions resolve setup.py again, with a new pip: the one that comes with
# Python 3.9 backtracks endlessly.
$(STAMP): requirements.lock setup.py pyproject.toml
	@test -x $(BIN)/pip || { $(PYTHON) -c '$(CHECK_VERSION)' \
	  && $(PYTHON) -m venv $(VENV); }
	@echo 'Installing TensorFlow and the rest into $(VENV) (a few minutes)'
	@$(PIP) $$(grep -E '^(setuptools|wheel)==' requirements.lock)
	@if $(BIN)/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; \
	then $(PIP) --no-build-isolation -r requirements.lock \
	  && $(PIP) --no-build-isolation --no-deps -e .; \
	else $(PIP) --upgrade pip \
	  && $(PIP) --no-build-isolation -e '.[demo,test,dev]'; fi
	@touch $@

demo: $(STAMP)
	rm -rf demo
	$(BIN)/python -m axial_tf.demo

test: $(STAMP)
	$(PYTEST)

test-slow: $(STAMP)
	$(PYTEST) -m slow

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/python tools/check_english.py

bench: $(STAMP)
	@for script in $$(grep -l __main__ benchmarks/*.py); do \
	  echo "== $$script"; $(BIN)/python $$script || exit 1; done

# setuptools before 70 loads pkg_resources without a warning.
lock:
	rm -rf build/lock
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet --upgrade 'setuptools<70' wheel
	build/lock/bin/pip install --quiet --no-build-isolation -e '.[demo,test,dev]'
	grep '^#' requirements.lock > build/lock/requirements.lock
	build/lock/bin/pip freeze --all --exclude pip --exclude-editable \
	  >> build/lock/requirements.lock
	mv build/lock/requirements.lock requirements.lock
	rm -rf build/lock

clean:
	rm -rf build dist demo *.egg-info .pytest_cache .ruff_cache .hypothesis
	find axial_tf data_prep tests benchmarks -name __pycache__ \
	  -type d -prune -exec rm -rf {} +
