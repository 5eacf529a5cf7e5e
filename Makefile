# Two commands: make report (the pages) and make test (everything CI checks).
# Uses the active environment, or makes .venv when none is active.

ifneq ($(or $(VIRTUAL_ENV),$(CONDA_PREFIX)),)
PYTHON := python
READY := .installed-check
else
PYTHON := .venv/bin/python
READY := .venv/ready
endif

.PHONY: report test refresh sweep fuzz mutate constraints .installed-check

report: $(READY)
	@$(PYTHON) -m cm384 report

test: $(READY)
	@$(PYTHON) -m ruff check --config lib/pyproject.toml lib tests notebooks
	@$(PYTHON) -m ruff format --check --config lib/pyproject.toml lib tests notebooks/_ext
	@$(PYTHON) -m mypy --config-file lib/pyproject.toml
	@$(PYTHON) -c 'from importlinter.cli import lint_imports_command as lint; lint()' lib/pyproject.toml --no-logo
	@OPENBLAS_NUM_THREADS=1 $(PYTHON) -m pytest -n 3 --dist loadfile --no-loadscope-reorder -rs

refresh: $(READY)
	@$(PYTHON) -m cm384 refresh

# The sweep of ten million that page 15 summarises, four times over: some minutes.
sweep: $(READY)
	@$(PYTHON) -c 'from cm384 import sweep; from cm384.table.errors import DATA; sweep.remake(DATA / "derived")'

# A hundred thousand inputs of six kinds, at random: right answers, or one line. An hour or more.
fuzz: $(READY)
	@FUZZ=100000 OPENBLAS_NUM_THREADS=1 $(PYTHON) -m pytest -n 3 -s tests/test_fuzz.py

# Sixty faults in the arithmetic, drawn by a seed: which of them do the tests not see? An hour or more.
mutate: $(READY)
	@OPENBLAS_NUM_THREADS=1 $(PYTHON) tests/mutate.py 60

# The pins of CI: everything that a fresh environment gets today. Run it with the oldest python3 that
# is promised (3.11.2 in Debian 12), which some newest releases no longer support. From 4.25 on, jsonschema
# builds a grammar of addresses at each import, three seconds of every process that reads a notebook.
constraints:
	python3 -m venv --clear build/newest
	build/newest/bin/python -m pip install --quiet --disable-pip-version-check -e 'lib[cluster,notebooks,test]' 'jsonschema<4.25'
	build/newest/bin/python -m pip freeze --exclude cm384 > constraints.txt

# One clear line when a prerequisite is missing, before anything is made.
.venv/ready: lib/pyproject.toml environment.yml constraints.txt
	@command -v python3 >/dev/null || { echo "python3 is missing: install python3 (3.11 or newer)"; exit 1; }
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "python3 is $$(python3 -V 2>&1); 3.11 or newer is needed"; exit 1; }
	@python3 -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "python3 has no venv: install python3-venv"; exit 1; }
	@command -v git >/dev/null || { echo "git is missing: install git"; exit 1; }
	python3 -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check $(if $(CI),-c constraints.txt) -e 'lib[cluster,notebooks,test]'
	@touch $@

.installed-check:
	@$(PYTHON) -c 'import cm384, distributed, itables, myst_nb, nbval, playwright, pyarrow' 2>/dev/null || \
	  $(PYTHON) -m pip install --quiet --disable-pip-version-check $(if $(CI),-c constraints.txt) -e 'lib[cluster,notebooks,test]'
