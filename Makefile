# Everything runs in .venv, which targets create when needed; no activation
# necessary. `make PYTHON=python3.11 ...` selects the interpreter.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Marks that the environment matches the lock file.
STAMP := $(VENV)/.installed
# The documentation is built without TensorFlow, in an environment of its own.
DOCS_VENV ?= .venv-docs
DOCS_STAMP := $(DOCS_VENV)/.installed
DOCS_LOCK := requirements-docs.lock
# Those that need neither data, nor an accelerator, nor hours.
BENCHMARKS := attention conversion data evaluation kept_for_backward memory \
	merging model serving
# Reordered, files of few but long tests would come last.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-slow test-long test-app lint docs bench lock \
	clean

help:
	@echo 'make demo         train a small model on digits, draw its results'
	@echo 'make test         the tests, each of few seconds (or TESTS=tests/data)'
	@echo 'make test-slow    those of more than 5 seconds (or TESTS=tests/training)'
	@echo 'make test-long    those of minutes, which CI leaves out'
	@echo 'make test-app     the tests of the page, with Gradio, in build/app'
	@echo 'make bench        the benchmarks of a CPU'
	@echo 'make lint         ruff, and rules of plain English'
	@echo 'make docs         the site of the documentation, in build/site'
	@echo 'make venv         the environment in .venv (the others make it too)'
	@echo 'make lock         the lock files of PYTHON from the newest releases'
	@echo 'make clean        remove caches and outputs of demo and builds'

venv: $(STAMP)

$(STAMP): $(filter-out $(DOCS_LOCK),$(wildcard requirements*.lock)) setup.py \
		pyproject.toml
	@$(PYTHON) -c '' 2> /dev/null || { echo 'error: $(PYTHON) does not start;' \
	  'install Python 3.12 or run for example: make PYTHON=python3.12'; exit 1; }
	@$(PYTHON) tools/make_venv.py $(VENV) \
	  $(if $(filter command environment,$(origin PYTHON)),--python-is-given)
	@touch $@

$(DOCS_STAMP): $(DOCS_LOCK) tools/make_venv.py
	@$(PYTHON) tools/make_venv.py $(DOCS_VENV) --docs \
	  $(if $(filter command environment,$(origin PYTHON)),--python-is-given)
	@touch $@

demo: $(STAMP)
	rm -rf demo
	$(BIN)/python -m axial_tf.demo

# These import TensorFlow before its lines are filtered.
test test-slow test-long test-app bench: export TF_CPP_MIN_LOG_LEVEL ?= 3

test: $(STAMP)
	$(PYTEST) --durations=20 --durations-min=5 $(TESTS)

test-slow: $(STAMP)
	$(PYTEST) -m slow --durations=10 --durations-min=60 $(TESTS)

test-long: $(STAMP)
	$(PYTEST) -m long $(TESTS)

# Gradio and a driver of browsers are in an environment of their own, which also
# sees that of the other tests.
APP := build/app
$(APP)/.installed: $(STAMP) setup.py
	rm -rf $(APP)
	$(BIN)/python -m venv $(APP)
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	  > "$$($(APP)/bin/python -c \
	  'import sysconfig; print(sysconfig.get_path("purelib"))')/tests.pth"
	$(APP)/bin/python -m pip --disable-pip-version-check install --quiet \
	  --no-build-isolation -e '.[app]' playwright
	@touch $@

test-app: $(APP)/.installed
	$(APP)/bin/python -m pytest tests/app

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/python tools/check_english.py

# A broken link or a missing reference is an error (not with --quiet).
docs: $(DOCS_STAMP)
	PATH="$(abspath $(DOCS_VENV))/bin:$$PATH" NO_MKDOCS_2_WARNING=1 \
	  $(DOCS_VENV)/bin/mkdocs build --strict
	@echo 'open build/site/index.html'

bench: $(STAMP)
	@for name in $(BENCHMARKS); do echo "== benchmarks/$$name.py"; \
	  $(BIN)/python benchmarks/$$name.py || exit 1; done

# Renews the lock file of PYTHON's TensorFlow, and that of the documentation. Of
# the setuptools with pkg_resources, those before 70 load it without a warning.
lock:
	rm -rf build/lock
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet --upgrade 'setuptools<70' wheel
	build/lock/bin/pip install --quiet --no-build-isolation -e '.[demo,test,dev]'
	lock=$$($(PYTHON) tools/make_venv.py --lock) \
	  && grep '^#' $$lock > build/lock/requirements.lock \
	  && build/lock/bin/pip freeze --all --exclude pip --exclude-editable \
	  >> build/lock/requirements.lock \
	  && mv build/lock/requirements.lock $$lock
	rm -rf build/lock
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet $$($(PYTHON) tools/make_venv.py \
	  --docs-packages)
	grep '^#' $(DOCS_LOCK) > build/lock/docs.lock
	build/lock/bin/pip freeze >> build/lock/docs.lock
	mv build/lock/docs.lock $(DOCS_LOCK)
	rm -rf build/lock

clean:
	rm -rf build dist demo *.egg-info .pytest_cache .ruff_cache .hypothesis
	find axial_tf data_prep tests benchmarks -name __pycache__ \
	  -type d -prune -exec rm -rf {} +
