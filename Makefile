# The paper from end to end. `make` alone lists what there is.
#
# Recipes use relative paths only, so that a checkout below a folder with spaces in its name works.

ifeq ($(filter grouped-target,$(.FEATURES)),)
$(error GNU make 4.3 or newer is needed, this is $(MAKE_VERSION); on macOS: brew install make, then gmake)
endif

PYTHON ?= python3
VENV := .venv
PIP := scripts/packages.py

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup data figures notebooks report quick reproduce check test test-processors test-long lab bench audit lock clean clean-all environment FORCE

# What a reader sets to look at another profile must not end up in the paper itself.
unexport LR_PROFILE

# What would keep Python from finding what it is given here, or have it find something else first.
unexport PYTHONHOME PYTHONSAFEPATH
ifneq ($(VENV),)
unexport PYTHONPATH
endif

##@ Everyday use

help: ## list the targets
	@echo "usage: make <target>"
	@awk -F ':.*## ' \
	  '/^##@ /{printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## /{printf "  %-15s %s\n", $$1, $$2}' Makefile
	@printf '%s\n' "" "Every target that needs it sets .venv up by itself. Options:" \
	  "  PYTHON=python3.12  make .venv with this Python (3.11 or newer)" \
	  "  VENV=              use the activated environment (environment.yml) instead of .venv" \
	  "  WORKERS=4          run the tests in as many processes, instead of two"

setup: ## make .venv from requirements.lock (minutes, once; 2.5 GB, 6.1 GB with CUDA)
report: ## render the paper from its records: HTML and PDF (a minute)
check: ## run ruff, mypy and the unit tests (a minute)
test: ## run the tests, the notebooks too (10 minutes)
test-processors: ## run the notebooks as on other processors, with 1, 2 and 4 threads (10 minutes)
test-long: ## disturb real grids in every way they have to survive; 10,000 bad inputs (11 minutes)
lab: ## open the notebooks in JupyterLab

##@ Training

figures: ## draw the figures of the data sets anew (a minute; needs the data)
data: ## find, fetch and verify MNIST, KMNIST and Fashion-MNIST
quick: ## train a reduced grid and render it, to report/_output/quick (10 minutes on two cores)
reproduce: ## train every run of the paper that is due, then render it (hours; a stopped one goes on)

##@ The project itself

bench: ## measure speed beside peers, on an idle machine (20 minutes)
audit: ## check the pinned packages against known vulnerabilities (a minute; needs the network)
notebooks: ## run the notebooks and store their outputs, which `make test` compares (a minute)
lock: ## pin anew what pyproject.toml asks for, in requirements.lock
clean: ## remove rendered reports and caches; keeps data, records and what unfinished runs trained
clean-all: ## clean, and remove .venv and what unfinished runs trained too

# ---------------------------------------------------------------------------------------------------- environment

ifeq ($(VENV),)

PY := $(PYTHON)
READY :=
CHECK := environment
setup: environment

environment:
	@$(PY) -c 'import lr_core' 2>/dev/null || { echo "VENV= asks for the activated environment, but its $(PYTHON)" \
	  "has no lr_core; make one that has: conda env create -f environment.yml" >&2; exit 1; }

else

PY := $(VENV)/bin/python
READY := $(VENV)/.ready
CHECK :=
setup: $(READY)
	@echo "$(VENV) is ready: $$($(PY) -c 'import platform; print("Python", platform.python_version())')"

# The stamp holds the folder that it was made in: an environment does not survive being moved. Nor does it survive the
# removal of the Python that it was made with, after which its bin/python is a link to nothing.
MADE := $(VENV)/.made-by-make
empty = find "$(VENV)" -mindepth 1 -maxdepth 1 ! -name .made-by-make -exec rm -rf {} +
STALE := $(shell [ ! -e "$(READY)" ] || { [ -x "$(PY)" ] && [ "$$(cat "$(READY)")" = "$$(pwd -P)" ]; } || echo FORCE)
FORCE:

# The first file written and the last one removed is .unfinished: what an interrupted setup leaves is built anew.
# setuptools comes with the lock, so that building lr_core itself needs no further download.
# Only an environment with the mark .made-by-make is ever removed; one that the user has put there is installed into.
$(READY): requirements.lock pyproject.toml $(STALE)
	@"$(PYTHON)" -c '' 2>/dev/null || { echo "$(PYTHON) does not run; install Python 3.11 or newer," \
	  "or name one: make PYTHON=python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11))' || { echo "$(PYTHON) is older than Python" \
	  "3.11, which is needed; name a newer one: make PYTHON=python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip' 2>/dev/null || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || { \
	  echo "Installing python3-venv, which $(PYTHON) lacks"; export DEBIAN_FRONTEND=noninteractive; \
	  apt-get install -qq -y python3-venv >/dev/null 2>&1 || \
	  { apt-get update -qq && apt-get install -qq -y python3-venv >/dev/null; } || true; }
	@"$(PYTHON)" -c 'import ensurepip' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments (it has no" \
	  "ensurepip); on Debian and Ubuntu, as root: apt-get install python3-venv. Then make again" >&2; exit 1; }
	@[ ! -e "$(MADE)" ] || { [ ! -e "$(VENV)/.unfinished" ] && [ -z "$(STALE)" ] && "$(PY)" -c '' 2>/dev/null; } || { \
	  echo "$(VENV) is unfinished, moved or lost its Python: building it anew"; $(empty); }
	@[ -n "$$(ls -A "$(VENV)" 2>/dev/null)" ] || { mkdir -p "$(VENV)"; touch "$(MADE)"; }
	@[ -e "$(MADE)" ] || "$(PY)" -m pip --version >/dev/null 2>&1 || { echo "$(VENV) was not made by make, and its Python" \
	  "does not run or has no pip; move it away, or give it pip: $(PY) -m ensurepip" >&2; exit 1; }
	@touch "$(VENV)/.unfinished"
	@rm -f "$@"
	@[ -x "$(PY)" ] || { echo "Making $(VENV) with $$("$(PYTHON)" --version)"; "$(PYTHON)" -m venv "$(VENV)"; }
	@echo "Installing the $$(grep -c == requirements.lock) packages of requirements.lock (minutes, the first time)"
	@quiet=; [ -t 1 ] || quiet=--quiet; \
	  "$(PY)" $(PIP) install $$quiet --no-input --disable-pip-version-check -r requirements.lock
	@"$(PY)" $(PIP) install --quiet --no-input --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@pwd -P > "$@"
	@rm "$(VENV)/.unfinished"

endif

# For the oldest Python that pyproject.toml allows: Debian 12 has 3.11.2, and some packages ask for a later 3.11.
lock: $(READY) | $(CHECK)
	@echo "Resolving pyproject.toml (minutes: it downloads what it looks at)"
	@mkdir -p .cache
	@$(PY) $(PIP) install --quiet --dry-run --ignore-installed --no-build-isolation --disable-pip-version-check \
	  --python-version 3.11 --only-binary=:all: --target .cache/lock --report .cache/lock.json '.[cluster,lab,report,test]'
	@{ grep '^#' requirements.lock; $(PY) -c "$$PINS" .cache/lock.json; } > .cache/requirements.lock
	@mv .cache/requirements.lock requirements.lock
	@echo "Wrote requirements.lock with $$(grep -c == requirements.lock) packages; bring environment.yml in line with it"

# Without lr_core itself, the build tag of torch ("+cpu"), and the packages of its CUDA build, which it pins itself.
define PINS
import json, re, sys
for name, version in sorted(
    (re.sub("[-_.]+", "-", item["metadata"]["name"]).lower(), item["metadata"]["version"].partition("+")[0])
    for item in json.load(open(sys.argv[1]))["install"]
):
    if not re.match("lr-core$$|nvidia-|cuda-|triton$$", name):
        print(f"{name}=={version}")
endef
lock: export PINS := $(PINS)

# --------------------------------------------------------------------------------------------------------- report

HTML := report/_output/index.html
PDF := report/_output/latent-replay.pdf
CSV := report/_output/results.csv
PAGES := report/_output/notebooks/index.html
SOURCES := $(wildcard report/figures/*.svg report/*.qmd report/*.py report/*.bib report/_quarto.yml data/*.csv data/*.toml \
  benchmarks/results/*.json src/lr_core/*.py) \
  $(shell find report/render report/theme report/figures report/explorer -type f ! -path '*/__pycache__/*' 2>/dev/null)
# The folders as well as the records in them: a record that was removed leaves no other trace.
RECORDS := $(wildcard report/runs/ report/runs/*/ report/runs/*/*.json)
NOTEBOOKS := $(wildcard report/runs/*/*.ipynb)
# Changes with every commit, of which source.zip is the last.
COMMITS := $(wildcard $(shell git rev-parse --git-path logs/HEAD 2>/dev/null))

QUARTO := $(shell command -v quarto 2>/dev/null)

# $(call render[,folder below _output]). Both put both files there, or fail.
ifneq ($(QUARTO),)
ENGINE := Quarto
render = $(PY) -m lr_core.jupyter quarto render report$(if $1, --output-dir _output/$1)
else
ENGINE := report/render, no quarto being on PATH
render = $(PY) report/render report/index.qmd --output-dir report/_output$(if $1,/$1) >/dev/null
endif

# $(call pages[,folder below _output]): the executed notebooks beside the paper, and source.zip.
pages = $(PY) report/notebooks.py --output-dir report/_output$(if $1,/$1) >/dev/null

# $(call name,<html>,<pdf>)
name = printf '%s\n' "The paper:" "  $1" "  $2"

report: $(HTML) $(PDF) $(CSV) $(PAGES)
	@$(call name,$(HTML),$(PDF))

$(CSV): $(SOURCES) $(RECORDS) $(READY) | $(CHECK)
	@$(PY) -m lr_core results $@ >/dev/null

# After the paper: Quarto may clear its output folder first.
$(PAGES): $(HTML) $(NOTEBOOKS) $(COMMITS)
	@$(call pages)

$(HTML) $(PDF) &: $(SOURCES) $(RECORDS) $(READY) | $(CHECK)
	@echo "Rendering the paper with $(ENGINE)"
	@$(call render)

# ------------------------------------------------------------------------------------------------------- training

data: $(READY) | $(CHECK)
	@$(PY) -m lr_core data

figures: $(READY) | $(CHECK)
	@$(PY) -m lr_core figures

# Without the clock times of each cell, which would differ in every run.
notebooks: $(READY) | $(CHECK)
	@$(PY) -m lr_core.jupyter $(PY) -m jupyter nbconvert --log-level=ERROR --to notebook --execute --inplace \
	  --ExecutePreprocessor.record_timing=False --ExecutePreprocessor.extra_arguments=--log-level=40 notebooks/*.ipynb
	@echo "Stored the outputs of notebooks/*.ipynb"

# Status 1 says that some runs failed, and which: what did run is rendered all the same.
quick: $(READY) | $(CHECK)
	@echo "Training the quick profile: a reduced grid on real images"
	@$(PY) -m lr_core grid --profile quick --skip-missing; status=$$?; [ $$status -le 1 ] || exit $$status; \
	  echo "Rendering it with $(ENGINE)"; LR_PROFILE=quick; export LR_PROFILE; \
	  { $(call render,quick); } && $(call pages,quick) \
	  && $(call name,report/_output/quick/index.html,report/_output/quick/latent-replay.pdf) && exit $$status

reproduce: $(READY) | $(CHECK)
	@echo "Training what is due of the paper profile; stop it at any time, the same command goes on"
	@$(PY) -m lr_core grid --profile paper
	@$(MAKE) --no-print-directory report

# ---------------------------------------------------------------------------------------------------------- tests

# Processes that share the tests out among them; tests/conftest.py says which tests stay together, and in which order.
WORKERS := 2
SHARED := -n $(WORKERS) --dist loadgroup --no-loadscope-reorder

check: $(READY) | $(CHECK)
	@$(PY) -m ruff check --quiet .
	@$(PY) -m ruff format --check --quiet src tests report scripts
	@$(PY) -m mypy
	@$(PY) -m pytest $(SHARED) -m 'not long and not slow' tests

test: $(READY) | $(CHECK)
	@echo "Running the tests and the notebooks"
	@$(PY) -m pytest $(SHARED)

test-long: $(READY) | $(CHECK)
	@echo "Running the tests that disturb real grids, and those that make bad input, more of it"
	@$(PY) -m pytest $(SHARED) -m 'long or generated' --hypothesis-profile thorough tests

test-processors: $(READY) | $(CHECK)
	@echo "Running the notebooks as on other processors"
	@$(PY) scripts/processors.py

# Avalanche in an environment of its own, which sees the packages of this one: torch is installed once.
bench: $(READY) | $(CHECK)
	@[ -e .venv-avalanche/.ready ] || { echo "Installing Avalanche into .venv-avalanche"; rm -rf .venv-avalanche; \
	  $(PY) -m venv .venv-avalanche && \
	  $(PY) -c 'import sysconfig, pathlib; print(sysconfig.get_path("purelib"), pathlib.Path("src").resolve(), sep="\n")' \
	    > .venv-avalanche/lib/$$($(PY) -c 'import sys; print("python%d.%d" % sys.version_info[:2])')/site-packages/project.pth && \
	  .venv-avalanche/bin/python $(PIP) install --quiet --no-input --disable-pip-version-check -r benchmarks/requirements.txt && \
	  touch .venv-avalanche/.ready; } || { echo "Avalanche cannot be had; it is left out" >&2; rm -rf .venv-avalanche; }
	@$(PY) -m lr_core data fashion-mnist >/dev/null
	@$(PY) benchmarks

# pip-audit in an environment of its own. Its status is 1 whether it found something or could not look, but it leaves a
# report only in the first case; --strict, so that a package that it has to skip does not pass for one without fault.
AUDIT := .cache/audit
audit: $(READY) | $(CHECK)
	@[ -e $(AUDIT)/.ready ] || { echo "Installing pip-audit into $(AUDIT)"; rm -rf $(AUDIT); $(PY) -m venv $(AUDIT) && \
	  $(AUDIT)/bin/python $(PIP) install --quiet --no-input --disable-pip-version-check pip-audit==2.10.1 && \
	  touch $(AUDIT)/.ready; } || { echo "pip-audit cannot be had; nothing was checked" >&2; exit 3; }
	@rm -f $(AUDIT)/found
	@$(AUDIT)/bin/python -m pip_audit --requirement requirements.lock --no-deps --disable-pip --strict \
	  --progress-spinner off --output $(AUDIT)/found 2>$(AUDIT)/log && \
	  echo "No known vulnerability in the $$(grep -c == requirements.lock) packages of requirements.lock" || { \
	  [ -s $(AUDIT)/found ] || { echo "The vulnerabilities known cannot be looked up; nothing was checked:" \
	    "$$(tail -n 1 $(AUDIT)/log)" >&2; exit 3; }; \
	  cat $(AUDIT)/found >&2; echo "requirements.lock pins packages with known vulnerabilities: see above" >&2; exit 1; }

# The figures of a notebook that is not trusted are left out until it is run. notebooks/.jupyter has settings, behind those
# that the user has made: JupyterLab would ask whether it may fetch news.
# The kernel python3 is this environment's, before one of the user's.
# JupyterLab refuses to run as root, which is who one is in a container, unless told that it may.
lab: export JUPYTER_CONFIG_PATH := $(CURDIR)/notebooks/.jupyter$(if $(JUPYTER_CONFIG_PATH),:$(JUPYTER_CONFIG_PATH))
lab: $(READY) | $(CHECK)
	@$(PY) -m jupyter trust notebooks/*.ipynb >/dev/null
	@root=; [ "$$(id -u)" != 0 ] || root=--allow-root; \
	  JUPYTER_PATH="$$($(PY) -c 'import sys; print(sys.prefix)')/share/jupyter$${JUPYTER_PATH:+:$$JUPYTER_PATH}" \
	  $(PY) -m jupyterlab $$root --LabApp.default_url=/lab/tree/notebooks

# ------------------------------------------------------------------------------------------------------- cleaning

clean:
	@rm -rf report/_output report/.quarto build .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find src report tests notebooks -type d \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune \
	  -exec rm -rf {} + 2>/dev/null || true
	@[ ! -d .cache ] || find .cache -mindepth 1 -maxdepth 1 ! -name runs -exec rm -rf {} +
	@echo "Removed rendered reports and caches"

clean-all: clean
	@[ ! -e .venv/.made-by-make ] || { \
	  find .venv -mindepth 1 -maxdepth 1 ! -name .made-by-make -exec rm -rf {} + ; rm -rf .venv; }
	@rm -rf .venv-avalanche .cache src/*.egg-info
	@echo "Removed the environments and what unfinished runs trained"
	@[ ! -e .venv ] || echo "Kept .venv, which make has not made"
