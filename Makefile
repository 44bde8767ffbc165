# The paper from end to end. `make` alone lists the targets.
# Recipes use relative paths only: a checkout below a folder with spaces in its name works.

ifeq ($(filter grouped-target,$(.FEATURES)),)
$(error GNU make 4.3 or newer is needed, this is $(MAKE_VERSION); on macOS: brew install make, then gmake)
endif

PYTHON ?= python3
VENV := .venv
# Processes that share the tests: three are the fastest on two cores. tests/conftest.py says which stay together.
WORKERS := 3
PYTEST = $(PY) -m pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup environment FORCE report check test test-processors test-long lab figures data quick reproduce \
  bench audit kernel trainer notebooks lock clean clean-all

# LR_PROFILE shows a reader another profile: it must not change the paper. The others change what Python finds.
unexport LR_PROFILE PYTHONHOME PYTHONSAFEPATH

# READY is what a target needs before it can use PY.
ifeq ($(VENV),)
PY := $(PYTHON)
READY := | environment
environment:
	@$(PY) -c 'import lr_core' 2>/dev/null || { echo "VENV= asks for the activated environment, but its $(PYTHON)" \
	  "has no lr_core; make one that has: conda env create -f environment.yml" >&2; exit 1; }
else
unexport PYTHONPATH
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
# An environment does not work after it was moved or lost its Python. The stamp holds the folder that it was made in.
STALE := $(shell [ -x "$(PY)" ] && [ "$$(cat "$(READY)" 2>/dev/null)" = "$$(pwd -P)" ] || echo FORCE)
$(READY): requirements.lock pyproject.toml $(STALE)
	@PYTHON="$(PYTHON)" sh scripts/setup.sh "$(VENV)"
endif

##@ Everyday use
help: ## list the targets
	@awk -F ':.*## ' 'BEGIN{print "usage: make <target>"} \
	  /^##@ /{printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## /{printf "  %-15s %s\n", $$1, $$2}' Makefile
	@printf '%s\n' "" "Every target that needs it sets .venv up by itself. Options:" \
	  "  PYTHON=python3.12  make .venv with this Python (3.11 or newer)" \
	  "  VENV=              use the activated environment (environment.yml) instead of .venv" \
	  "  WORKERS=4          run the tests in as many processes, instead of three" \
	  "  UPGRADE=1          let make lock take the newest versions, instead of those that are pinned"

setup: $(READY) ## make .venv from requirements.lock (minutes, once; 2.5 GB, 6.1 GB with CUDA)
	@echo "$(or $(VENV),The environment) is ready: $$($(PY) -c 'import platform; print("Python", platform.python_version())')"

HTML := report/_output/index.html
PDF := report/_output/latent-replay.pdf
TABLES := report/_output/results.csv report/_output/results.json
PAGES := report/_output/notebooks/index.html
# All but what rendering makes itself: a new folder is a source too.
SOURCES := $(wildcard data/*.csv data/*.toml benchmarks/results/*.json) $(shell find src report -type f \
  ! -path 'report/runs/*' ! -path 'report/_output/*' ! -path '*/__pycache__/*' ! -path '*/.*' 2>/dev/null)
# The folders too: a record that was removed leaves no other trace.
RECORDS := $(wildcard report/runs/ report/runs/*/ report/runs/*/*.json)
NOTEBOOKS := $(wildcard report/runs/*/*.ipynb)
# Changes with every commit: source.zip holds the last one.
COMMITS := $(wildcard $(shell git rev-parse --git-path logs/HEAD 2>/dev/null))

# In _output or a folder below it: render makes HTML and PDF; pages, notebooks and source.zip. name prints the paths.
ifneq ($(shell command -v quarto 2>/dev/null),)
ENGINE := Quarto
render = $(PY) -m lr_lab.jupyter quarto render report$(if $1, --output-dir _output/$1)
else
ENGINE := report/render, no quarto being on PATH
render = $(PY) report/render report/index.qmd --output-dir report/_output$(if $1,/$1) >/dev/null
endif
pages = $(PY) report/notebooks.py --output-dir report/_output$(if $1,/$1) >/dev/null
name = printf '%s\n' "The paper:" "  report/_output/$1index.html" "  report/_output/$1latent-replay.pdf"

report: $(HTML) $(PDF) $(TABLES) $(PAGES) ## render the paper from its records: HTML and PDF (a minute)
	@$(call name)

$(HTML) $(PDF) &: $(SOURCES) $(RECORDS) $(READY)
	@echo "Rendering the paper with $(ENGINE)"
	@$(call render)
$(TABLES) &: $(SOURCES) $(RECORDS) $(READY)
	@$(PY) -m lr_lab results $(firstword $(TABLES)) >/dev/null
	@$(PY) report/ledger.py $(lastword $(TABLES))
# After the paper: Quarto may clear its output folder first.
$(PAGES): $(HTML) $(NOTEBOOKS) $(COMMITS)
	@$(call pages)

check: $(READY) ## run ruff, mypy and the unit tests (a minute)
	@$(PY) -m ruff check --quiet . && $(PY) -m ruff format --check --quiet src tests report scripts
	@$(PY) -m mypy
	@$(PYTEST) -m 'not long and not slow' tests

test: $(READY) ## run the tests, the notebooks too (5 minutes)
	@echo "Running the tests and the notebooks"
	@$(PYTEST)

test-processors: $(READY) ## run the notebooks as on other processors, with 1, 2 and 4 threads (8 minutes)
	@echo "Running the notebooks as on other processors"
	@$(PY) scripts/processors.py

test-long: $(READY) ## disturb real grids in every way they have to survive; 10,000 bad inputs (7 minutes)
	@echo "Running the tests that disturb real grids, and those that make bad input, more of it"
	@$(PYTEST) -m 'long or generated' --hypothesis-profile thorough tests

lab: $(READY) ## open the notebooks in JupyterLab
	@sh scripts/lab.sh "$(PY)"

##@ Training
figures: $(READY) ## draw the figures of the data sets anew (a minute; needs the data)
	@$(PY) -m lr_lab figures
	@$(PY) report/thumbnails.py

data: $(READY) ## find, fetch and verify MNIST, KMNIST and Fashion-MNIST
	@$(PY) -m lr_lab data

# Status 1 says that some runs failed. The others are rendered all the same.
quick: $(READY) ## train a reduced grid and render it, to report/_output/quick (6 minutes on two cores)
	@echo "Training the quick profile: a reduced grid on real images"
	@$(PY) -m lr_lab grid --profile quick --skip-missing; status=$$?; [ $$status -le 1 ] || exit $$status; \
	  echo "Rendering it with $(ENGINE)"; LR_PROFILE=quick; export LR_PROFILE; \
	  { $(call render,quick); } && $(call pages,quick) && $(call name,quick/) && exit $$status

reproduce: $(READY) ## train every run of the paper that is due, then render it (hours; a stopped one goes on)
	@echo "Training what is due of the paper profile; stop it at any time, the same command goes on"
	@$(PY) -m lr_lab grid --profile paper
	@$(MAKE) --no-print-directory report

##@ The project itself
bench: $(READY) ## measure speed beside peers, on an idle machine (20 minutes)
	@$(PY) scripts/avalanche.py
	@$(PY) -m lr_lab data fashion-mnist >/dev/null
	@$(PY) benchmarks

audit: $(READY) ## check the pinned packages against known vulnerabilities (a minute; needs the network)
	@$(PY) scripts/audit.py

kernel: $(READY) ## compile what the page trains with, report/trainer/kernel.c (a minute; fetches the compiler, 440 MB)
	@$(PY) scripts/kernel.py

trainer: $(READY) ## make the networks, latents and stored results that the page trains with (an hour; needs the data)
	@PYTHONPATH=report $(PY) -m trainer.make

# Without the times of each cell: they differ in every run.
notebooks: $(READY) ## run the notebooks and store their outputs, which `make test` compares (a minute)
	@$(PY) -m lr_lab.jupyter $(PY) -m jupyter nbconvert --log-level=ERROR --to notebook --execute --inplace \
	  --ExecutePreprocessor.record_timing=False --ExecutePreprocessor.extra_arguments=--log-level=40 notebooks/*.ipynb
	@echo "Stored the outputs of notebooks/*.ipynb"

lock: $(READY) ## pin anew what pyproject.toml asks for, in requirements.lock
	@$(PY) scripts/lock.py $(if $(UPGRADE),--upgrade)

clean: ## remove rendered reports and caches; keeps data, records and what unfinished runs trained
	@sh scripts/clean.sh

clean-all: ## clean, and remove .venv and what unfinished runs trained too
	@sh scripts/clean.sh all
