# `make run` and `make test` do all their own set-up. `make help` lists the rest.

PYTHON ?= python3
BIN := .venv/bin
FLAGS = $(if $(MINUTES),--minutes $(MINUTES)) $(if $(NAME),--run $(NAME)) $(ARGS)
CODE := environment agents infra tests

.DEFAULT_GOAL := help
.PHONY: help setup run walk notebooks up down status test lint format check clean

help:
	@echo 'make run     the main job until Ctrl-C; MINUTES=5 NAME=my-run ARGS="--workers 3" PYTHON=python3.12'
	@echo 'make walk    from nothing to a walk and a report, two hours on two cores; goes on where it stopped; MINUTES=30'
	@echo 'make test    the fast tests, with a real MongoDB, S3 server and simulator; ARGS="-k flow"'
	@echo 'make notebooks   open them in JupyterLab'
	@echo 'make up      start the local services;  make status, make down'
	@echo 'make check   formatting, lint, types and tests'
	@echo 'make lint    formatting, lint and types;  make format rewrites the files'
	@echo 'make setup   only install what the Pipfile names into .venv'
	@echo 'make clean   remove .venv and caches; keeps .env and the data'

setup:
	@$(PYTHON) -m infra.bootstrap

run: setup
	@$(BIN)/python -m infra run $(FLAGS)

walk: setup
	@$(BIN)/python -m infra run --recipe walk --minutes $(or $(MINUTES),120) $(if $(NAME),--run $(NAME)) $(ARGS)

notebooks: setup
	@$(BIN)/jupyter lab notebooks $(ARGS)

up down status: setup
	@$(BIN)/python -m infra $@ $(ARGS)

test: setup
	@$(BIN)/python -m pytest $(ARGS)

lint: setup
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/mypy $(CODE)

format: setup
	@$(BIN)/ruff check --fix --quiet $(CODE) || true
	@$(BIN)/ruff format $(CODE)

check: lint
	@$(BIN)/python -m pytest $(ARGS)

clean:
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
	@find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
