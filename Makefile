# `make run` shows galaxy-lb in front of real gunicorns, `make test` runs every test. Both install what is missing
# (Debian packages by apt, Python packages into build/venv) and say so; nothing is installed twice.

.DEFAULT_GOAL := build
.PHONY: run build test unit integration address thread fuzz lint install clean

PREFIX  ?= /usr/local
DESTDIR ?=
# Port of 127.0.0.1 that `make run` listens on.
PORT ?= 8080
# What `make test` runs, in this order.
LANES ?= unit integration address thread fuzz

run: build
	@tools/install-packages python
	@tools/install-python Demonstration/requirements.txt
	@PORT=$(PORT) tools/demonstration

build:
	@tools/install-packages build
	@tools/check-swift
	@tools/build

test: build
	@tools/install-packages python integration
	@tools/install-python Demonstration/requirements.txt Tests/requirements.txt
	@tools/run-tests $(LANES)

unit fuzz: 
	@tools/install-packages build
	@tools/check-swift
	@tools/run-tests $@

# All of `make test`'s preparation, one lane of its tests.
integration address thread:
	@$(MAKE) --no-print-directory test LANES=$@

lint:
	@tools/install-packages python lint
	@tools/check-swift
	@tools/install-python tools/requirements.txt
	@tools/run-tests lint

install:
	@tools/install --prefix "$(PREFIX)" --destdir "$(DESTDIR)"

clean:
	rm -rf .build build
