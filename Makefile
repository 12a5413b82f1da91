# Obnova's entry points. What they do stands in the scripts they call; `make` alone prints this list.
PREFIX ?= /usr/local
export DESTDIR PREFIX

.DEFAULT_GOAL := help
.PHONY: help demo run test check soak bench layout deb install

help:
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 17

demo: ## the whole story in a minute: a certificate with 20 days left is watched, warned about, renewed and verified
	@tests/testbed/demo.sh
run: ## a daemon on a private bus with scratch state, and a shell in which `obnova` speaks to it
	@tests/testbed/run.sh
test: ## the hermetic tests: no root, no other servers
	@tests/testbed/test.sh
check: ## everything a change must pass: format, lints, dependency policy, all tests, real peers
	@tests/testbed/check.sh
soak: ## a renewal of twins with every mishap at every command of the card: some ten minutes
	@tests/testbed/soak.sh
bench: ## speed and size against their limits, with the release build
	@tests/testbed/bench.sh
layout: ## which functions lie together in the release build, found out anew
	@tests/testbed/layout.sh
deb: ## the Debian package, obnova_*.deb, from the release build
	@packaging/deb.sh
install: ## programs, units and documents under $(DESTDIR)$(PREFIX)
	@packaging/install.sh
