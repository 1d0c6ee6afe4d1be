# Every target does all of its own set-up: .venv, torch, this project with its tools.
SHELL := /bin/bash
BIN := .venv/bin
READY := .venv/.ready
PYTHONS := $(PYTHON) python3.11 python3.12 python3.13 python3
USABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
HAS_TORCH := import importlib.util, sys; sys.exit(importlib.util.find_spec("torch") is None)

.PHONY: demo test lint docs setup

demo: $(READY)
	$(BIN)/recon demo

test: $(READY)
	$(BIN)/python -m pytest -rs $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

docs: $(READY)
	$(BIN)/python -c 'import material' 2>/dev/null || \
	  $(BIN)/python -m pip install -c .venv/constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

setup: $(READY)

# A torch that the machine's Python already has (a CUDA build, say) is kept and used.
$(READY): pyproject.toml constraints.txt
	@for python in $(PYTHONS); do \
	  $$python -c '$(USABLE)' 2>/dev/null && break; python=; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "expected Python 3.11 or newer with venv, found none; install one (on Debian:" \
	    "apt install python3-venv) or name it: make $(or $(MAKECMDGOALS),setup) PYTHON=/path/to/python3" >&2; \
	  exit 1; \
	fi; \
	if [ ! -x $(BIN)/python ]; then \
	  $$python -c '$(HAS_TORCH)' && site=--system-site-packages; \
	  $$python -m venv $$site .venv; \
	fi
	$(BIN)/python -c '$(HAS_TORCH)' || $(BIN)/python -m pip install -c constraints.txt torch
	$(BIN)/python -c 'import torch; print("torch==" + torch.__version__)' > .venv/constraints.txt
	$(BIN)/python -m pip install -c .venv/constraints.txt -e '.[dev,viewer]'
	touch $@
