# make demo       see it work: needs python3 (3.11 or newer, with venv) and make, nothing else
# make test       all that CI runs. As root on Debian 12 it installs real engines first; `make test ENGINES=` leaves them out
# make lint       types, style and formatting
# make bench      measure against other tools, side by side
# make coverage   how much of the code the unit tests run; less than the floor in pyproject.toml fails
# make dist       build the sdist and the wheel, and check what is in them
# make reference  write what is made from the code: docs/reference/, the man pages, tables of the README, pictures
# make docs       build the documentation as a site, build/site/index.html; a broken link fails
# make clean      remove what the others made
#
# PYTHON=python3.13 after any of them: another interpreter. Its environments are its own, build/dev-3.13 instead of .venv
# and build/venv-3.13, since one that is there is not made again.
PYTHON ?= python3
VERSION := $(if $(filter-out python3,$(PYTHON)),-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'))
ENGINES := $(shell integration/install_engines --possible 2>/dev/null && echo 1)
OFFLINE := $(shell for try in "unshare --net" "unshare --map-root-user --net"; do \
	$$try true 2>/dev/null && echo "$$try" && break; done)
VENV := $(if $(VERSION),build/dev$(VERSION),.venv)
TESTED := build/venv$(VERSION)

demo: $(VENV)/demo
	$(VENV)/bin/python -m integration.demo demo

PYTEST := --durations=15
# In CI the examples that hypothesis tries are the same on every run (tests/conftest.py).
export HYPOTHESIS_PROFILE ?= $(if $(CI),ci,dev)

# The wheel is tested, in an environment of its own: what is in the tree but not in the wheel is not there. Each test
# runs once. The unit tests run beside those with engines, which wait for their engines much of the time; their output
# comes first.
test: engines wheel
	$(MAKE) --no-print-directory lint VENV=$(TESTED)
	$(if $(OFFLINE),,@echo "no unshare --net here: the unit tests run with a network")
	@ECI_CONVERT_REQUIRE_ENGINES=$(ENGINES) $(TESTED)/bin/python -P integration/support/installed.py integration \
		$(PYTEST) >build/integration.log 2>&1 & engines=$$!; \
	$(OFFLINE) $(TESTED)/bin/python -P integration/support/installed.py tests $(PYTEST); unit=$$?; \
	wait $$engines; engines=$$?; cat build/integration.log; \
	test $$unit = 0 && test $$engines = 0

# The unit tests only, in this process only: what tests run as programs is not counted.
coverage: $(VENV)/dev
	$(VENV)/bin/coverage erase
	$(VENV)/bin/coverage run -m pytest tests $(PYTEST)
	$(VENV)/bin/coverage report

lint: $(VENV)/dev
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy

bench: engines $(VENV)/dev
	$(VENV)/bin/python -m integration.bench

# The wheel is made from the sdist, so what the sdist lacks the wheel lacks too.
dist: $(VENV)/dev
	rm -rf dist
	$(VENV)/bin/python -m build --outdir dist . >/dev/null
	$(VENV)/bin/python -P integration/support/check_dist.py dist

reference man: $(VENV)/dev
	$(VENV)/bin/python -m tests.support.generate_reference
	$(VENV)/bin/python -m tests.support.generate_api_reference
	$(VENV)/bin/python -m tests.support.generate_readme_tables
	$(VENV)/bin/python -m tests.support.generate_pictures

docs: build/docs-venv/docs
	NO_MKDOCS_2_WARNING=1 build/docs-venv/bin/mkdocs build --strict
	@echo "built: build/site/index.html"

clean:
	rm -rf .venv build dist demo .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache

engines:
	$(if $(ENGINES),integration/install_engines,@echo "not root on Debian 12, x86_64: without real engines")

wheel: $(TESTED)/bin/python
	rm -rf build/wheel
	$(TESTED)/bin/pip wheel --quiet --no-deps --wheel-dir build/wheel .
	$(TESTED)/bin/pip install --quiet "$$(echo build/wheel/*.whl)[dev]"
	$(TESTED)/bin/pip install --quiet --no-deps --force-reinstall build/wheel/*.whl
	touch $(TESTED)/dev

build/docs-venv/docs: build/docs-venv/bin/python pyproject.toml
	build/docs-venv/bin/pip install --quiet --editable ".[docs]"
	touch $@

$(sort .venv/demo $(VENV)/demo): %/demo: %/bin/python pyproject.toml
	$*/bin/pip install --quiet --editable .
	touch $@

$(sort .venv/dev $(VENV)/dev): %/dev: %/bin/python pyproject.toml
	$*/bin/pip install --quiet --editable ".[dev]"
	touch $@

%/bin/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit(f"python 3.11 or newer is needed, not {sys.version}")'
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "venv is needed: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $*

.PHONY: demo test coverage lint bench dist reference man docs clean engines wheel
