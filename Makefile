# Every command of the README. Each installs what it needs, says what it does, and can be run twice.
# Node 24 runs everything: from the machine when it is new enough, else from the npm package `node`
# (npm scripts put node_modules/.bin first), so only npm itself needs a node of the machine's own.

export ONNXRUNTIME_NODE_INSTALL = skip
export npm_config_loglevel = error
.DEFAULT_GOAL := help
.PHONY: help install demo demo-down test e2e bench verify generate

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: node_modules/.package-lock.json ## install the npm packages that the lock file names

node_modules/.package-lock.json: package-lock.json .npmrc
	@command -v npm >/dev/null || { echo "npm is missing. On Debian: apt-get install --no-install-recommends npm"; exit 1; }
	@echo "Installing npm packages (about a minute, once) ..."
	@npm ci --no-audit --no-fund --loglevel=error
	@touch $@

demo: install ## a cluster if KUBECONFIG names none, images, chart, a model, a new version, and back again
	@npm run --silent demo

demo-down: install ## take away what demo made
	@npm run --silent demo -- down

# The lives of the last line are the same each time: a change is judged there, not luck. `npm run explore -- --fuzz 100000` draws others.
test: install ## unit, property, integration and fault tests on a real kube-apiserver and etcd, every state of a rollout (no root needed)
	@npm run --silent test:unit
	@npm run --silent test:integration
	@npm run --silent test:faults
	@npm run --silent explore -- --ci --max-states 2000000 --fuzz 100000 --seed 1

e2e: install ## real node, real images, Helm, kubectl (root, or KUBECONFIG)
	@npm run --silent test:e2e

bench: install ## the runtime beside its peers (half an hour alone on the machine; they install themselves), then docs/benchmarks.md
	@npm run --silent bench:runtime -- --json bench/results/runtime.json
	@npm run --silent bench:page

generate: install ## write the generated files again
	@npm run --silent generate

verify: install ## types, lint, format, generated files compared, tests
	@npm run --silent typecheck
	@npm run --silent lint
	@npm run --silent format:check
	@npm run --silent generate -- --check
	@$(MAKE) --no-print-directory test
