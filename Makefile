# Two commands matter: `make report` and `make test`. Each makes the environment it needs; a second run reuses it.
# Written for GNU make 3.81 (macOS) and newer.

PYTHON ?= python3
VENV ?= .venv

NOTEBOOK = cancer_nuclei_analysis.ipynb
REPORT = build/report.html
RUN = $(VENV)/bin/python -m
EXECUTE = $(RUN) nbconvert $(NOTEBOOK) --execute --ExecutePreprocessor.timeout=1800 \
	--ExecutePreprocessor.record_timing=False --log-level=WARN --output-dir=build

# Touched when everything is installed, so that an interrupted installation is taken up again.
REPORT_ENVIRONMENT = $(VENV)/.installed-requirements
TEST_ENVIRONMENT = $(VENV)/.installed-dev

# The notebook runs in quick mode and, whatever the caller's shell says, with Jupyter's own way of showing figures.
export NUCLEI_MODE = quick
# Threads that wait asleep: where something else runs too, spinning ones make PyTorch many times slower.
export OMP_WAIT_POLICY = passive
unexport MPLBACKEND

RECENT_ENOUGH = -c 'import sys; sys.exit(sys.version_info < (3, 11))'

# The page's JavaScript packages, as its lock file names them; their own scripts are not run.
PACKAGES = page/node_modules/.package-lock.json

.PHONY: help report page serve screenshot test notebook benchmark lint environment clean
.DEFAULT_GOAL := help

help:  ## list these commands
	@awk -F ':.*  ## ' '/^[a-z]+:.*  ## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "PYTHON=python3.12 names another interpreter, VENV=folder another environment (an active one: VENV=\"\$$VIRTUAL_ENV\")."

report: $(REPORT_ENVIRONMENT)  ## run the notebook in quick mode on sample tiles and write build/report.html
	@mkdir -p build
	@rm -f $(REPORT)
	$(EXECUTE) --to=helpers.report.web_page.WebPage --output=report.partial
	@mv -f build/report.partial.html $(REPORT)
	@echo "The report is written: $$PWD/$(REPORT)"

page: $(REPORT_ENVIRONMENT) $(PACKAGES)  ## build the page, the model in the browser beside the stored report, into build/page
	$(RUN) page.build build/page

serve: page  ## build the page and show it at http://127.0.0.1:8000
	$(RUN) http.server 8000 --bind 127.0.0.1 --directory build/page

screenshot: page $(TEST_ENVIRONMENT)  ## take the picture of the page that the README shows (needs Chromium)
	$(RUN) page.shoot build/page page/screenshot.jpg

test: lint  ## check style, run the tests, then run the notebook and compare its outputs
	@{ command -v npm >/dev/null && $(MAKE) --no-print-directory $(PACKAGES); } || \
		echo "The page's JavaScript packages are not there: its tests are skipped"
	$(RUN) pytest
	$(RUN) pytest $(NOTEBOOK) --nbval --nbval-current-env -p no:benchmark --nbval-sanitize-with=tests/nbval_sanitize.cfg \
		--override-ini=filterwarnings=default

notebook: $(REPORT_ENVIRONMENT)  ## run the notebook in quick mode and store its outputs in it (nothing else writes them)
	@mkdir -p build
	$(EXECUTE) --to=notebook --output=notebook.partial
	@mv -f build/notebook.partial.ipynb $(NOTEBOOK)

benchmark: $(TEST_ENVIRONMENT) $(PACKAGES)  ## measure preparing, training, predicting and the page beside the alternative, into models/benchmarks.json
	$(RUN) pytest tests/benchmark_speed.py
	$(RUN) pytest tests/benchmark_prediction.py
	$(RUN) pytest tests/page/benchmark_page.py

lint: $(TEST_ENVIRONMENT)  ## check style and formatting
	$(RUN) ruff check .
	$(RUN) ruff format --check .

environment: $(REPORT_ENVIRONMENT)  ## install requirements.txt into .venv

clean:  ## delete what these commands wrote, except the environment
	rm -rf build *.egg-info .pytest_cache .ruff_cache .hypothesis
	find helpers tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(PACKAGES): page/package.json page/package-lock.json
	@command -v npm >/dev/null || { \
		echo "npm is needed to fetch the page's JavaScript packages: install Node.js 20 or newer (on Debian and Ubuntu: apt install npm)" >&2; exit 1; }
	cd page && npm ci --ignore-scripts --no-audit --no-fund --fetch-retries=1 --fetch-timeout=20000
	@touch $@

$(REPORT_ENVIRONMENT): requirements.txt
	@$(RUN) pip --version >/dev/null 2>&1 || { \
		$(PYTHON) $(RECENT_ENOUGH) 2>/dev/null || { \
			echo "Python 3.11 or newer is needed, and '$(PYTHON)' is not: install one and name it, as in: make report PYTHON=python3.12" >&2; \
			exit 1; }; \
		$(PYTHON) -m venv $(VENV) || { \
			echo "'$(PYTHON) -m venv $(VENV)' failed: install Python's venv module (on Debian and Ubuntu: apt install python3-venv) and try again" >&2; \
			exit 1; }; }
	@$(VENV)/bin/python $(RECENT_ENOUGH) || { \
		echo "The environment '$(VENV)' has a Python older than 3.11: delete it, or name another with VENV=..." >&2; exit 1; }
	$(RUN) pip install --requirement requirements.txt
	@touch $@

$(TEST_ENVIRONMENT): pyproject.toml $(REPORT_ENVIRONMENT)
	$(RUN) pip install --editable '.[dev]'
	@touch $@
