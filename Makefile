# Three commands: make report (the pages), make test (everything CI checks) and make quick (what you changed).
# Uses the active environment, or makes .venv when none is active; what only tests need is installed for tests.

EXTRAS-report := notebooks
EXTRAS-test := cluster,fused,notebooks,test
NEEDS-report := cm384, myst_nb, papermill
NEEDS-test := $(NEEDS-report), distributed, nbval, numba, playwright, pyarrow

ifneq ($(or $(VIRTUAL_ENV),$(CONDA_PREFIX)),)
PYTHON := python
READY := .installed
else
PYTHON := .venv/bin/python
READY := .venv/ready
endif
INSTALL = $(PYTHON) -m pip install --quiet --disable-pip-version-check $(if $(CI),-c constraints.txt)
PYTEST := OPENBLAS_NUM_THREADS=1 $(PYTHON) -m pytest -n 3 --dist loadfile --no-loadscope-reorder

# What `quick` runs of the tests: hand arithmetic and the rule, and the notebooks that are not as committed.
ARITHMETIC := arithmetic fabric hardware load power rule serving sizes specs terms token_cost training transformer units
CHANGED = $(shell git diff --name-only --diff-filter=d HEAD -- 'notebooks/*.ipynb')

.PHONY: report test quick lint arithmetic refresh sweep fuzz mutate constraints .installed-report .installed-test

report: $(READY)-report
	@$(PYTHON) -m cm384 report

test: lint
	@$(PYTEST) -rs

quick: lint
	@$(PYTEST) -q $(ARITHMETIC:%=tests/test_%.py) $(CHANGED)

lint: $(READY)-test
	@$(PYTHON) -m ruff check --config lib/pyproject.toml lib tests notebooks
	@$(PYTHON) -m ruff format --check --config lib/pyproject.toml lib tests notebooks/_ext
	@$(PYTHON) -m mypy --config-file lib/pyproject.toml
	@$(PYTHON) -c 'from importlinter.cli import lint_imports_command as lint; lint()' lib/pyproject.toml --no-logo

# Without linting: releases of old, to which the lower bounds lead, have rules of their own.
arithmetic: $(READY)-test
	@$(PYTEST) -q $(ARITHMETIC:%=tests/test_%.py)

refresh: $(READY)-test
	@$(PYTHON) -m cm384 refresh
	@$(PYTHON) tests/unmoved.py

# The sweep of ten million that page 15 summarises, four times over: some minutes.
sweep: $(READY)-test
	@$(PYTHON) -c 'from cm384 import sweep; from cm384.table.errors import DATA; sweep.remake(DATA / "derived")'

# A hundred thousand inputs of six kinds, at random: right answers, or one line. Twenty minutes or more.
fuzz: $(READY)-test
	@FUZZ=100000 OPENBLAS_NUM_THREADS=1 $(PYTHON) -m pytest -n 3 -s tests/test_fuzz.py

# Four hundred faults in the arithmetic, drawn by a seed: which do the tests not see? An hour and a half.
mutate: $(READY)-test
	@OPENBLAS_NUM_THREADS=1 $(PYTHON) tests/mutate.py 400

# The pins of CI: everything that a fresh environment gets today. Run it with the oldest python3 that
# is promised (3.11.2 in Debian 12), which some newest releases no longer support. From 4.25 on, jsonschema
# builds a grammar of addresses at each import, three seconds of every process that reads a notebook.
constraints:
	python3 -m venv --clear build/newest
	build/newest/bin/python -m pip install --quiet --upgrade pip
	build/newest/bin/python -m pip install --quiet --disable-pip-version-check -e 'lib[$(EXTRAS-test)]' 'jsonschema<4.25'
	build/newest/bin/python -m pip freeze --all --exclude cm384 --exclude setuptools > constraints.txt

# One clear line when a prerequisite is missing, before anything is made.
.venv/ready-%: lib/pyproject.toml environment.yml constraints.txt
	@command -v python3 >/dev/null || { echo "python3 is missing: install python3 (3.11 or newer)"; exit 1; }
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "python3 is $$(python3 -V 2>&1); 3.11 or newer is needed"; exit 1; }
	@python3 -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "python3 has no venv: install python3-venv"; exit 1; }
	@command -v git >/dev/null || { echo "git is missing: install git"; exit 1; }
	python3 -m venv .venv
	$(INSTALL) -e 'lib[$(EXTRAS-$*)]'
	@touch $@

.installed-report .installed-test: .installed-%:
	@$(PYTHON) -c 'import $(NEEDS-$*)' 2>/dev/null || $(INSTALL) -e 'lib[$(EXTRAS-$*)]'
