# One verb per chore. Everything happens in .venv, which the first verb makes.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

# TensorFlow Federated runs on no other Python, and beside nothing else: an environment of its own.
TFF_PYTHON ?= python3.11
TFF_BIN := .venv-tff/bin
TFF_PINS := device_sim/tff/pins.txt device_sim/tff/overrides.txt

# Debian's package is called bazel-bootstrap, and its command bazel.
BAZEL ?= bazel

TESTS := $(BIN)/python -m pytest -n 2 --dist worksteal

.PHONY: demo test test-slow test-all tff tff-test android-test bazel-test check bench paper-fast paper-full package clean

# Federated learning in front of your eyes: export, server, 100 phones, report in build/demo.
demo: $(READY)
	$(BIN)/pocketfed demo --out build/demo

test: $(READY)
	$(TESTS) -m "not slow"

# The long ones: killed servers, whole exports, every layer.
test-slow: $(READY)
	$(TESTS) -m slow

# Both in one run, which imports TensorFlow and makes what tests share once: for CI.
test-all: $(READY)
	$(TESTS) --durations=20

# TensorFlow Federated in .venv-tff, the independent check of docs/tff.md.
tff: .venv-tff/ready

# The same rounds here and in TFF, weight by weight.
tff-test: $(READY) .venv-tff/ready
	POCKETFED_REQUIRE_ALL=1 $(BIN)/python -m pytest -rP tests/device_sim/tff

# The Android library on this machine, with Maven and a JDK, against the Python of .venv.
android-test: $(READY)
	cd android_assets/host && POCKETFED_PYTHON=$(abspath $(BIN)/python) mvn -q -B test

# What BUILD files name, built and tested by Bazel on the Python of .venv.
bazel-test: $(READY)
	POCKETFED_PYTHON=$(abspath $(BIN)/python) $(BAZEL) test //...

check: $(READY) build/pocketfed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

# Speed, as ratios measured side by side; --quick and --json=FILE go to a script itself.
bench: $(READY)
	$(BIN)/python benchmarks/export.py
	$(BIN)/python benchmarks/lowerings.py
	$(BIN)/python benchmarks/codecs.py
	$(BIN)/python benchmarks/fold.py
	$(BIN)/python benchmarks/fleet.py
	$(BIN)/python benchmarks/server.py --nosoak

# The experiments of arXiv 1602.05629 (docs/paper.md): a few minutes of them, or days; what was
# measured is kept in paper/results, and what is there already is not run again.
paper-fast: $(READY)
	$(BIN)/python -m pocketfed.paper --exhibit=fast --page=docs/paper.md

paper-full: $(READY)
	$(BIN)/python -m pocketfed.paper --exhibit=figure_1 --exhibit=table_1 --exhibit=table_2 \
	    --exhibit=centred --exhibit=int8 --exhibit=baselines --exhibit=rates_2nn \
	    --exhibit=first_weights --exhibit=shakespeare_small --exhibit=large_e --exhibit=shakespeare \
	    --page=docs/paper.md

# sdist and wheel, in dist/.
package: $(READY)
	$(BIN)/python -m build

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(READY): setup.py pyproject.toml constraints.txt
	@echo "Installing pocketfed and what it needs into .venv (a few minutes the first time) ..."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	@touch $@

.venv-tff/ready: $(TFF_PINS)
	@$(TFF_PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || { \
	    echo "TensorFlow Federated needs Python 3.11, which $(TFF_PYTHON) is not: install it, or" \
	        "name it with make tff TFF_PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Installing TensorFlow Federated into .venv-tff (half a minute) ..."
	@rm -rf .venv-tff
	$(TFF_PYTHON) -m venv .venv-tff
	$(TFF_BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	$(TFF_BIN)/uv pip install --quiet --compile-bytecode --python $(TFF_BIN)/python \
	    --override device_sim/tff/overrides.txt -r device_sim/tff/pins.txt
	@touch $@

# Type checkers find the package pocketfed under this link: the repository root is the package.
build/pocketfed:
	mkdir -p build && ln -sfn .. $@
