# `make run` shows galaxy-lb in front of real gunicorns, `make test` runs every test. Both install what is missing
# (Debian packages by apt, Python packages into build/venv) and say so; nothing is installed twice.

.DEFAULT_GOAL := build
.PHONY: run build test tools unit integration address thread fuzz lint install clean
.PHONY: benchmark benchmark-quick benchmark-micro benchmark-failover benchmark-restart benchmark-tools

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

PROGRAM := GALAXY_LB=build/galaxy-lb PYTHONPATH=Benchmarks:Benchmarks/common build/venv/bin/python
BENCHMARK := $(PROGRAM) -m

# CPU time, throughput, latency and memory beside nginx, HAProxy, Envoy and two floors: about forty minutes.
# TARGET='http://127.0.0.1:8080/api/version ...' measures a Galaxy that runs already instead.
benchmark: benchmark-tools
	@$(BENCHMARK) throughput $(OPTIONS) $(if $(TARGET),--target $(TARGET))

# The same with two short rounds: less than five minutes.
benchmark-quick: benchmark-tools
	@$(BENCHMARK) throughput --quick $(OPTIONS)

# What the codec, balancing and deadlines cost by themselves.
benchmark-micro:
	@tools/install-packages build
	@tools/check-swift
	@GALAXY_LB_MICROBENCHMARKS=1 swift run --configuration release --scratch-path .build/microbenchmarks microbenchmarks

# What users notice when gunicorns fail, beside nginx, HAProxy and Envoy: about ten minutes.
benchmark-failover: build
	@tools/install-packages python integration
	@tools/install-python Benchmarks/requirements.txt
	@$(PROGRAM) Benchmarks/failover/run.py $(OPTIONS)
	@$(PROGRAM) Benchmarks/failover/recovery.py
	@$(PROGRAM) Benchmarks/failover/recovery.py --gunicorns

# What users notice of a deploy, beside nginx and HAProxy: about an hour with ten restarts of each.
benchmark-restart: build
	@tools/install-packages python integration
	@tools/install-python Benchmarks/requirements.txt
	@$(PROGRAM) Benchmarks/restart/run.py $(OPTIONS)

benchmark-tools: build
	@tools/install-packages python integration benchmark
	@tools/install-python Benchmarks/requirements.txt

install:
	@tools/install --prefix "$(PREFIX)" --destdir "$(DESTDIR)"

clean:
	rm -rf .build build
