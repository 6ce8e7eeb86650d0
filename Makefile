# Thin on purpose: each target calls a script or tfd. What a target needs is set up on first use.
SHELL := bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help setup check test review demo gitops-demo bench release cluster cluster-down e2e e2e-smoke e2e-report docs golden lock clean

help:            ## Show this list
	@sed -n 's/^\([a-z0-9-]*:\)[^#]*## /\1 /p' Makefile | column -t -s: -l2

setup:           ## Tools and .venv
	@scripts/setup.sh test

check: setup     ## Lint, types, schema, render: what one runs while editing
	@scripts/check.sh

test: setup      ## All tests that need no cluster
	@scripts/test.sh

review: setup    ## What merging HEAD into main would do to the runs; BASE=REF HEAD=REF
	@tfd review --base $(or $(BASE),main) --head $(or $(HEAD),HEAD)

demo:            ## A distributed run on this machine: chief, 2 ps, 2 workers, evaluator
	@scripts/setup.sh run
	@tfd run --fresh jobs/examples/digits-parameter-server.yaml

gitops-demo:     ## The whole loop: a job file, a merge, Argo CD, the run; on the cluster of make cluster
	@scripts/setup.sh run
	@python -m devcluster up --install --argocd
	@python -m devcluster.demo

bench: setup     ## The trainer against a hand-written loop: build/bench.json
	@python -m bench

docs: setup      ## Regenerate what is generated
	@python scripts/docs.py

golden: setup    ## Render tests/golden anew; read the diff
	@scripts/golden.sh

lock: setup      ## Pin the newest allowed Python packages
	@scripts/lock.sh

release: setup   ## Check this version and tag it: Argo CD takes the chart from the tag
	@scripts/tag-release.sh

cluster:         ## Kubernetes and Argo CD on this machine, as root; more: python -m devcluster --help
	@scripts/setup.sh run
	@python -m devcluster up --install

cluster-down:    ## End it; nothing is left behind
	@python -m devcluster down

e2e-smoke: setup ## On a cluster: each strategy to its end, a killed worker, a gang; KUBECONFIG, else make cluster's
	@scripts/e2e.sh smoke

e2e: setup       ## All scenarios on a cluster
	@scripts/e2e.sh all

e2e-report: setup ## What the last of them found
	@python scripts/e2e_report.py

clean:           ## Delete what the other targets made in this checkout
	@rm -rf build runs .venv *.egg-info
