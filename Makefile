# Each target calls a script or tfd, and installs what it needs on first use.
SHELL := bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help setup check test fuzz workbench-test review demo gitops-demo bench soak elastic-figures gpu-check numbers release release-rehearsal walkthrough cluster cluster-down e2e e2e-smoke e2e-scale e2e-report docs docs-site docs-test golden lock clean

help:            ## Show this list
	@sed -n 's/^\([a-z0-9-]*:\)[^#]*## /\1 /p' Makefile | column -t -s: -l2

setup:           ## Install the tools and the Python packages into .venv
	@scripts/setup.sh test

check: setup     ## Run the quick checks: lint, types, imports, prose, schema and rendering
	@scripts/check.sh

test: setup      ## Run all tests that need no cluster
	@scripts/test.sh

fuzz: setup      ## Give the review 100,000 hostile job files, names, trees and histories; FUZZ=NUMBER for another number
	@FUZZ=$(or $(FUZZ),100000) pytest -q tests/unit/review/test_fuzz.py

workbench-test: setup ## Open the workbench in Chromium: a notebook, its graph, the curves of a run, and a wrong token
	@scripts/workbench-test.sh

review: setup    ## Show the effect on runs of merging HEAD into main; BASE=REF and HEAD=REF select other commits
	@tfd review --base $(or $(BASE),main) --head $(or $(HEAD),HEAD)

demo:            ## Run a distributed training on this machine: chief, 2 ps, 2 workers and evaluator
	@scripts/setup.sh run
	@tfd run --fresh jobs/examples/digits-parameter-server.yaml

gitops-demo:     ## Play the whole loop on the cluster of make cluster: job file, merge, Argo CD and run
	@scripts/setup.sh run
	@python -m devcluster up --install --argocd
	@python -m devcluster.demo

soak: setup      ## Change the tasks of elastic runs at random; MINUTES=30 SEED=1 STRATEGY=NAME, or ARGS for more options
	@mkdir -p build
	@python -m tests.soak --minutes $(or $(MINUTES),30) --seed $(or $(SEED),1) $(if $(STRATEGY),--strategy $(STRATEGY)) --json build/soak.json $(ARGS)

elastic-figures: setup ## Measure each change of an elastic run; TIMES=3 for the number of runs of each scenario
	@python -m tests.soak.figures --times $(or $(TIMES),3)

bench: setup     ## Compare the trainer with a hand-written loop and write build/bench.json
	@python -m bench

gpu-check:       ## Check and measure the trainer on the GPUs of this machine; ARGS=--quick for a short check
	@scripts/gpu-check.sh $(ARGS)

numbers: setup   ## Compare N replicas with one device for all combinations, in hours; SHARD=2/100 takes a part
	@python -m tests.integration.numbers --shard $(or $(SHARD),1/1)

docs: setup      ## Regenerate the generated documentation
	@python scripts/docs.py

docs-site:       ## Build the documentation site into build/site; a broken link or anchor is an error
	@scripts/docs-site.sh

docs-test:       ## Build the documentation site, and search and read it in Chromium
	@scripts/docs-test.sh

golden: setup    ## Regenerate the files in tests/golden; review the diff
	@scripts/golden.sh

lock: setup      ## Lock the Python packages in requirements/; UPGRADE=1 upgrades them to the newest versions
	@scripts/lock.sh

release: setup   ## Check this version and tag it, because Argo CD takes the chart from the tag
	@scripts/tag-release.sh

release-rehearsal: setup ## Run the release on this machine, as root; CLUSTER=1 trains with it, IMAGES="..." selects images
	@python -m release rehearse $(if $(CLUSTER),--cluster) $(addprefix --image ,$(IMAGES))

walkthrough: setup ## Follow docs/get-started.md word by word on an empty Debian, as root
	@python -m release walkthrough

cluster:         ## Start Kubernetes and Argo CD on this machine, as root; more: python -m devcluster --help
	@scripts/setup.sh run
	@python -m devcluster up --install

cluster-down:    ## Stop the cluster and delete its state
	@python -m devcluster down

e2e-smoke: setup ## Run the most important scenarios on the cluster of KUBECONFIG, else of make cluster
	@scripts/e2e.sh smoke

e2e: setup       ## Run all scenarios on the cluster of KUBECONFIG, else of make cluster
	@scripts/e2e.sh all

e2e-scale: setup ## Measure 1,101 tasks, 1,000 job files and 200 queued runs on the cluster of make cluster, in hours
	@scripts/e2e.sh scale

e2e-report: setup ## Show the results of the last scenarios
	@python scripts/e2e_report.py

clean:           ## Delete the files that the other targets created in this checkout
	@rm -rf build runs .venv .venv-workbench *.egg-info
