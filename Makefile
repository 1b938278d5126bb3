# Verbs of this repository; `make help` prints each with its comment.
# Settings are environment variables (.env.example). They can follow the verb: make up RISK_PORT_OFFSET=1000

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
JARS := .cluster/jars
UV_VERSION := 0.13.9
# With it, every process would compile Airflow or MLflow anew: 19 s instead of 3 s for MLflow.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONWARNINGS ?= ignore::FutureWarning,ignore::DeprecationWarning

.DEFAULT_GOAL := help
.PHONY: help install up down status sql demo check-data test test-quick test-unit test-cluster test-faults test-images test-kerberos sbom audit check format lock screenshots bench-quality bench-encoder bench-batches bench-memory bench-reasons bench-training

help: ## print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

install: $(VENV)/installed $(JARS)/installed $(JARS)/postgres $(JARS)/spark-classes.jsa ## Python environment and jars; the other verbs call it

$(VENV)/installed: requirements.lock pyproject.toml
	@sh local_cluster/install/check_prerequisites.sh $(PYTHON)
	@echo "install the Python environment into $(VENV) …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv pip sync --quiet --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(JARS)/installed: local_cluster/install/pom.xml local_cluster/install/jars.sha256
	@sh local_cluster/install/check_prerequisites.sh $(PYTHON)
	@echo "fetch jars into $(JARS) …"
	@rm -rf $(JARS)
	@# Even a quiet Maven without colours prints codes that reset them.
	@output=$$(mvn --batch-mode --quiet --file local_cluster/install/pom.xml dependency:copy-dependencies -DoutputDirectory=$(CURDIR)/$(JARS) 2>&1) \
		|| { echo "$$output"; exit 1; }
	@cd $(JARS) && sha256sum *.jar | LC_ALL=C sort --key=2 | diff $(CURDIR)/local_cluster/install/jars.sha256 - >&2 \
		|| { echo "expected the jars of local_cluster/install/jars.sha256 (<), found others (>)" >&2; exit 1; }
	@touch $@

$(JARS)/postgres: $(VENV)/installed $(JARS)/installed
	@$(BIN)/python -m local_cluster.install.postgres

$(JARS)/spark-classes.jsa: $(VENV)/installed $(JARS)/installed
	@echo "archive Spark's classes, so that jobs start faster …"
	@$(BIN)/python -m local_cluster.install.class_archive

up: install ## start the one-machine cluster and wait until it answers
	@$(BIN)/python -m local_cluster up

down: ## stop what `make up` started, also after a crash, and nothing else
	@$(BIN)/python -m local_cluster down

status: install ## state of each service, memory, web pages
	@$(BIN)/python -m local_cluster status

sql: install ## a spark-sql shell on the tables
	@$(BIN)/python -m local_cluster sql

demo: install ## the whole pipeline; on your own files: make demo INSTALLS=DIR LABELS=FILE
	@$(BIN)/python -m local_cluster.demo $(if $(INSTALLS),--installs "$(INSTALLS)") $(if $(LABELS),--labels "$(LABELS)") $(if $(USERS),--users $(USERS))

check-data: install ## what would be accepted or refused, without a cluster: make check-data INSTALLS=DIR LABELS=FILE
	@$(BIN)/python -m jobs.check_data $(if $(INSTALLS),--installs "$(INSTALLS)") $(if $(LABELS),--labels "$(LABELS)")

test: check ## format and lint checks, types, unit tests, cluster tests
	@# Side by side: tests on the cluster wait for its services more than half of their time.
	@echo "unit tests and cluster tests run side by side; the output of each comes when it ends"
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target test-unit test-cluster

test-quick: check ## what has to be green before a commit: checks, types, unit tests that take no seconds
	@$(BIN)/pytest tests/unit -m "not slow" --numprocesses auto --dist loadfile --no-loadscope-reorder

test-unit: install ## unit tests; no cluster
	@# Files in the order that tests/unit/conftest.py gives them; those that need Spark in one process.
	@$(BIN)/pytest tests/unit --numprocesses auto --dist loadfile --no-loadscope-reorder

test-cluster: install ## tests on real HDFS, YARN, Spark, Iceberg, MLflow and Airflow, on their own cluster
	@$(BIN)/pytest tests/cluster tests/faults -m "quick or not fault"

test-faults: install ## break the cluster on purpose, at named points; all points and minutes: make test-faults FULL=1
	@FULL=$(FULL) $(BIN)/pytest tests/faults

test-images: install ## build the images and run the whole stack in them, by podman; as root, on Debian
	@# They are built where there is a network, and run where there is none but their own.
	@$(BIN)/python -m tests.images.build
	@tests/images/enter.sh $(BIN)/pytest tests/images

test-kerberos: install $(VENV)/kerberos ## a night on HDFS and YARN with Kerberos and TLS, with a KDC of its own; Debian's krb5 packages
	@$(BIN)/pytest tests/kerberos

$(VENV)/kerberos: kerberos.lock kerberos-build.lock $(VENV)/installed
	@sh local_cluster/install/check_kerberos.sh
	@echo "compile Kerberos's Python package …"
	@$(BIN)/uv pip install --quiet --no-deps --require-hashes --build-constraints kerberos-build.lock --requirement kerberos.lock
	@touch $@

sbom: install ## software bill of materials (CycloneDX) of the Python environment and of the jars, in build/
	@mkdir -p build
	@$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-file build/sbom-python.cdx.json $(BIN)/python
	@mvn --batch-mode --quiet --file local_cluster/install/pom.xml cyclonedx:makeBom -DoutputDirectory=$(CURDIR)/build -DoutputName=sbom-jars.cdx -DoutputFormat=json
	@ls build/sbom-*.json

audit: install ## known vulnerabilities of the locked Python packages, and how many could be looked up
	@$(BIN)/python -m local_cluster.install.audit

check: install ## formatting, lint and types
	@# Debian keeps only the newest version of a package: pinned ones could not be installed a month later.
	@$(BIN)/hadolint --ignore DL3008 docker/Dockerfile
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: install ## format and fix what can be fixed
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

LOCK := $(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-header
KERBEROS_EXTRA := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["kerberos"], sep="\n")

lock: ## resolve pyproject.toml anew into requirements.lock, and the other locks of the same versions
	@$(LOCK) pyproject.toml --extra cpu --extra dev --output-file requirements.lock
	@$(LOCK) pyproject.toml --extra gpu --constraint requirements.lock --no-annotate --output-file requirements-gpu.lock
	@$(BIN)/python -c '$(KERBEROS_EXTRA)' | $(LOCK) - --constraint requirements.lock --output-file kerberos.lock
	@# What compiles gssapi, which asks for this very cython; unlocked, each installation would fetch it unchecked.
	@printf 'cython==3.3.0\nsetuptools>=80\n' | $(LOCK) - --constraint requirements.lock --allow-unsafe --output-file kerberos-build.lock

screenshots: install ## pictures for the README from a running demo; needs Chromium
	@$(BIN)/python -m local_cluster.pages.screenshots

bench-quality: install ## AUC of the default recipe and its baselines on made-up users, into docs/quality/
	@$(BIN)/python -m bench.quality

bench-encoder: install ## AUC of the encoder alone, with parts of it left out
	@$(BIN)/python -m bench.encoder_parts

bench-batches: install ## seconds per epoch in batches of similar length against all padded to 128
	@$(BIN)/python -m bench.bucketed_batches

bench-memory: install ## peak memory of a training by the number of users, from 10,000 to 1,000,000
	@$(BIN)/python -m bench.training_memory

bench-reasons: install ## users per second of a night without and with reasons, and how closely they add up
	@$(BIN)/python -m bench.reasons

bench-training: install ## users per second in training beside PyTorch's encoder of equal sizes; needs torch
	@$(BIN)/python -m bench.encoder_throughput
