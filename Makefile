# Every target sets up what it needs in .venv and touches nothing outside this folder.
SHELL := /bin/bash
PYTHON ?= python3
VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin

# Caches of pip, matplotlib, torch, timm, fastai and IPython stay in the clone too.
export XDG_CACHE_HOME := $(VENV)/cache
export XDG_CONFIG_HOME := $(VENV)/config
export XDG_STATE_HOME := $(VENV)/state
export HF_HOME := $(VENV)/cache/huggingface
export FASTAI_HOME := $(VENV)/cache/fastai
export IPYTHONDIR := $(VENV)/cache/ipython
export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport PYTHONPATH

.PHONY: help demo test test-all docs dev notebooks clean

help:
	@echo "make demo       the whole loop on pictures that come with the install"
	@echo "make test       notebooks, lint, links, sync: what CI runs"
	@echo "make test-all   also slow cells, the wheel in a fresh environment, kills"
	@echo "make docs       the site, in _docs"
	@echo "make notebooks  run all notebooks and save their outputs"
	@echo "make dev        an environment to work in, with git hooks"

$(VENV)/.set-up: settings.ini setup.py .github/constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setting up .venv (a few minutes the first time)"
	@$(BIN)/python -m pip install -q --no-cache-dir "pip>=24"
	@$(BIN)/python -m pip install -q --no-cache-dir -c .github/constraints.txt -e ".[dev]"
	@touch $@

dev: $(VENV)/.set-up
	$(BIN)/nbdev_install_hooks
	@echo "ready: . .venv/bin/activate"

demo: $(VENV)/.set-up
	$(BIN)/riskclf demo --out demo-run

test: $(VENV)/.set-up
	@$(BIN)/python .github/scripts/test_all.py

test-all: $(VENV)/.set-up
	@$(BIN)/python .github/scripts/test_all.py --all

docs: $(VENV)/.set-up
	@if command -v quarto >/dev/null; then PATH=$(BIN):$$PATH $(BIN)/nbdev_docs; else $(BIN)/python .github/scripts/build_docs.py; fi

notebooks: $(VENV)/.set-up
	$(BIN)/nbdev_export
	$(BIN)/python .github/scripts/run_nbs.py --slow nbs/*.ipynb nbs/tutorials/*.ipynb
	$(BIN)/nbdev_clean

clean:
	rm -rf _docs _proc build dist demo-run
