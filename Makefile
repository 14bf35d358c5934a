# Every target can start from nothing: it makes a virtual environment, installs what is needed and runs.
# A step that is done is not done again.
#   make quickstart      render Moving Shapes, train, test, leave a table and a picture
#   make pretraining     shards of Moving Shapes, post-pretraining with four systems, zero-shot tests, a table
#   make test            linters, type checker, tests
#   make test-fast       the part of the tests that depends most on versions of Python and packages
#   make moving-shapes   the tables of docs/results.md and docs/moving_shapes.md (an hour or two on two cores; a later call goes on)
#   make chat-toy        ask videos of Moving Shapes: a tiny dialogue model behind the quickstart's STAN
#   make gpu          the tests and the table that need a GPU; one line where there is none
#   make docs         the site, in build/docs; a warning is an error
#   make lint, make install, make clean
# VENV=folder uses another environment; PYTHON3=python3.12 makes it with another interpreter.

VENV ?= .venv
PYTHON3 ?= python3
PYTHON := $(VENV)/bin/python
PIP := $(PYTHON) -m pip --disable-pip-version-check

REQUIREMENTS := requirements.txt $(addprefix requirements/,lite.txt test.txt search.txt stream.txt docs.txt)
# Of the contents and not of the dates: a fresh checkout finds the environment of an older one up to date.
REQUIREMENTS_KEY := $(shell cat $(REQUIREMENTS) constraints.txt | cksum | cut -d ' ' -f 1)
INSTALLED := $(VENV)/.installed-$(REQUIREMENTS_KEY)
CHECKED_OUT := $(VENV)/.mmstan-$(shell cat setup.py pyproject.toml | cksum | cut -d ' ' -f 1)
SOURCES := $(wildcard mmstan configs tools tests docs/*.py setup.py)
TEXTS := $(wildcard *.md docs *.toml *.txt *.yml requirements Makefile .ci/run)

# An environment may serve several checkouts (.ci/run): each runs its own files, whichever was installed last.
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))

# Two gigabytes of memory a process, so that there are not more than eight of them.
PYTEST := OMP_NUM_THREADS=1 $(PYTHON) -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal
FAST := $(addprefix tests/,models methods parity datasets compat)

.PHONY: quickstart pretraining moving-shapes chat-toy test test-fast lint docs install clean requirements-key

quickstart: install
	$(PYTHON) tools/quickstart.py

pretraining: install
	$(PYTHON) tools/quickstart.py pretraining

moving-shapes: install
	$(PYTHON) tools/benchmarks/moving_shapes.py

chat-toy: install
	$(PYTHON) tools/chat_toy.py

test: lint
	$(PYTEST)

test-fast: install
	$(PYTEST) $(FAST)

# Nothing is installed: a GPU machine may have no network (tools/gpu_wheels.sh). Without .venv, PYTHON=python names one.
gpu:
	@bash tools/gpu_kit.sh $(PYTHON) all $(CONFIGS)

lint: install docs
	$(PYTHON) -m ruff check $(SOURCES)
	$(PYTHON) -m ruff format --check $(SOURCES)
	$(PYTHON) -m mypy
	$(VENV)/bin/codespell $(SOURCES) $(TEXTS)

docs: install
	$(PYTHON) -m sphinx --quiet --fail-on-warning --keep-going --conf-dir docs . build/docs

install: $(INSTALLED)
	@test "$$(cat $(CHECKED_OUT) 2>/dev/null)" = "$(CURDIR)" || { \
	  $(PIP) install --quiet --no-deps --no-build-isolation --editable . && \
	  rm -f $(VENV)/.mmstan-* && echo "$(CURDIR)" > $(CHECKED_OUT); }

$(INSTALLED):
	@$(PYTHON3) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2> /dev/null || { \
	  echo "mmstan needs Python 3.10 or newer, and $(PYTHON3) is: $$($(PYTHON3) --version 2>&1)."; \
	  echo "Name another one, e.g.: make PYTHON3=python3.12"; exit 1; }
	@echo "Setting up $(VENV): about 3 GB to download, 6 GB on disk, two to five minutes."
	@test -x $(PYTHON) || $(PYTHON3) -m venv $(VENV)
	$(PIP) install $(REQUIREMENTS:%=-r %) -c constraints.txt
	@rm -f $(VENV)/.installed-* && touch $@

requirements-key:
	@echo $(REQUIREMENTS_KEY)

clean:
	rm -rf $(VENV) build mmstan.egg-info mmstan/.mim
