# `make run` shows galaxy-lb in front of real gunicorns, `make test` runs every test. Both install what is missing
# (Debian packages by apt, Python packages into build/venv) and say so; nothing is installed twice.

.DEFAULT_GOAL := build
.PHONY: run build test tools unit integration address thread fuzz lint benchmark-failover benchmark-restart install clean

PREFIX  ?= /usr/local
DESTDIR ?=
# Port of 127.0.0.1 that `make run` listens on.
PORT ?= 8080
# What `make test` runs, in this order; each is a target of its own too, and so is lint.
LANES ?= tools unit integration address thread fuzz
# Those in Python, and those among them that run the binary among other programs.
PYTEST_LANES := tools integration address thread
INTEGRATION_LANES := integration address thread

run: build
	@tools/install-packages python
	@tools/install-python Demonstration/requirements.txt
	@PORT=$(PORT) tools/demonstration

build:
	@tools/install-packages build
	@tools/check-swift
	@tools/build

test:
	@tools/install-packages build python \
	  $(if $(filter $(INTEGRATION_LANES),$(LANES)),integration) $(if $(filter lint,$(LANES)),lint)
	@tools/check-swift
	@tools/install-python \
	  $(if $(filter $(PYTEST_LANES),$(LANES)),Tests/requirements.txt) \
	  $(if $(filter lint,$(LANES)),tools/requirements.txt)
	@tools/run-tests $(LANES)

lint tools unit integration address thread fuzz:
	@$(MAKE) --no-print-directory test LANES=$@

# What users notice when gunicorns fail, beside nginx, HAProxy and Envoy: about ten minutes.
benchmark-failover: build
	@tools/install-packages python integration
	@tools/install-python Benchmarks/requirements.txt
	@GALAXY_LB=build/galaxy-lb build/venv/bin/python Benchmarks/failover/run.py $(OPTIONS)
	@GALAXY_LB=build/galaxy-lb build/venv/bin/python Benchmarks/failover/recovery.py
	@GALAXY_LB=build/galaxy-lb build/venv/bin/python Benchmarks/failover/recovery.py --gunicorns

# What users notice of a deploy, beside nginx and HAProxy: about an hour with ten restarts of each.
benchmark-restart: build
	@tools/install-packages python integration
	@tools/install-python Benchmarks/requirements.txt
	@GALAXY_LB=build/galaxy-lb build/venv/bin/python Benchmarks/restart/run.py $(OPTIONS)

install:
	@tools/install --prefix "$(PREFIX)" --destdir "$(DESTDIR)"

clean:
	rm -rf .build build
