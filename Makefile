.DEFAULT_GOAL := help
BIN := .venv/bin
export MPLBACKEND := Agg
# Every process compiles its own models, so that more than two seldom save time.
WORKERS := --numprocesses 2 --dist worksteal

.PHONY: help demo test quick fuzz lint wheel bench bench-start docs prior real-data sbc calibration forecasts schedules curve-laws forecast-records speedup two-step repetition experts loss-to-loss token-quality family-discrepancy data-mixtures next-runs first-sweep hyperparameters laboratory laboratory-laws notebooks readme constraints clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: ## fit the shipped Chinchilla runs, print the plans, write the report
	@tools/venv.sh
	@mkdir -p demo
	@$(BIN)/bayescale fit chinchilla --seed 1 \
		--budget 1e21 --budget 5.76e23 --budget 1e25 \
		--out demo/chinchilla.nc --report demo/report.html

# Two processes on two cores: threads of linear algebra would compete for them.
test quick: export OMP_NUM_THREADS := 1
# Bytecode is written even if the shell forbids it: each process would compile all modules again.
test quick demo bench bench-start: export PYTHONDONTWRITEBYTECODE :=

test: ## run the whole test suite
	@tools/venv.sh dev
	@$(BIN)/pytest $(WORKERS)

quick: ## run the tests that take seconds
	@tools/venv.sh dev
	@BAYESCALE_FUZZ=100 $(BIN)/pytest $(WORKERS) -m "not slow"

fuzz: ## give every reader and command 100,000 random inputs; takes hours
	@tools/venv.sh dev
	@BAYESCALE_FUZZ=100000 $(BIN)/pytest $(WORKERS) --timeout 0 tests/fuzz

lint: ## check style and types
	@tools/venv.sh dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache --no-logo

wheel: ## build the wheel, and load every dataset and card from it outside the checkout
	@tools/venv.sh dev
	@tools/check-wheel.sh

bench: ## measure speed, memory and scale beside pm.sample and NumPyro, for docs/performance.md
	@tools/venv.sh dev
	@$(BIN)/python -m benchmarks.performance

bench-start: ## print the start-up time of commands that do not fit
	@tools/venv.sh dev
	@$(BIN)/python -m benchmarks.start

docs: ## write the pages of laws and of packages, and build the site in build/site
	@tools/venv.sh dev
	@rm -rf docs/_generated/api
	@$(BIN)/python tools/write_law_page.py
	@$(BIN)/python tools/write_architecture_page.py
	@$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -b html docs build/site

prior: ## learn the priors of the default card from the public tables in TABLES
	@tools/venv.sh dev
	@$(BIN)/python -m benchmarks.calibration --learn $(TABLES)

real-data: ## fit every law to the larger public tables in TABLES, for docs/real-data.md
	@tools/venv.sh dev
	@$(BIN)/python -m benchmarks.real_data $(TABLES) $(if $(ONLY),--$(ONLY))

sbc: ## check cards by simulation-based calibration, for docs/sbc.md
	@tools/venv.sh dev
	@$(BIN)/python -m benchmarks.simulation_based_calibration

calibration: ## score intervals on larger runs, for docs/calibration.md
	@tools/venv.sh dev
	@$(BIN)/python -m benchmarks.calibration $(TABLES)

forecasts: ## forecast the public curves in TABLES, for docs/forecasts.md
	@tools/venv.sh dev
	@$(BIN)/python -m benchmarks.forecasts $(TABLES) $(if $(MOST),--most $(MOST))

schedules: ## forecast public loss curves in TABLES, one schedule left out, for docs/schedules.md
	@tools/venv.sh dev
	@$(BIN)/python -m benchmarks.schedules $(TABLES)

curve-laws: ## calibrate broken power laws by simulation and pool curves, for docs/curve-laws.md
	@tools/venv.sh dev
	@$(BIN)/python -m benchmarks.curve_laws

forecast-records: ## replay three public sweeps in TABLES with forecast records, for docs/forecast-records.md
	@tools/venv.sh dev
	@$(BIN)/python -m benchmarks.forecast_records $(TABLES)

speedup: ## simulate pairs of recipes, and compare a real pair in TABLES, for docs/speedup.md
	@tools/venv.sh dev
	@$(BIN)/python -m benchmarks.speedup $(TABLES) $(if $(SIMULATIONS),--simulations $(SIMULATIONS))

two-step: ## predict tasks of simulated ladders in two steps, for docs/two-step.md
	@tools/venv.sh dev
	@$(BIN)/python -m benchmarks.two_step

repetition: ## predict larger runs on repeated data in TABLES, for docs/repetition.md
	@tools/venv.sh dev
	@$(BIN)/python -m benchmarks.repetition $(TABLES)

loss-to-loss: ## predict losses on other text of the best models in TABLES, for docs/loss-to-loss.md
	@tools/venv.sh dev
	@$(BIN)/python -m benchmarks.loss_to_loss $(TABLES)

experts: ## predict larger and sparser mixtures of experts in TABLES, for docs/mixture-of-experts.md
	@tools/venv.sh dev
	@$(BIN)/python -m benchmarks.experts $(TABLES)

token-quality: ## estimate the quality of tokens of three corpora, for docs/token-quality.md
	@tools/venv.sh dev
	@$(BIN)/python -m benchmarks.token_quality

family-discrepancy: ## predict new families in TABLES with family-specific discrepancies, for docs/family-discrepancy.md
	@tools/venv.sh dev
	@$(BIN)/python -m benchmarks.family_discrepancy $(TABLES)

data-mixtures: ## recover mixing laws and best mixtures from simulated runs, for docs/data-mixtures.md
	@tools/venv.sh dev
	@$(BIN)/python -m benchmarks.data_mixtures

next-runs: ## simulate the runs that next_runs chooses, and others, for docs/next-runs.md
	@tools/venv.sh dev
	@$(BIN)/python -m benchmarks.next_runs

first-sweep: ## simulate the recommended first sweep, and other designs, for docs/first-sweep.md
	@tools/venv.sh dev
	@$(BIN)/python -m benchmarks.first_sweep

hyperparameters: ## predict learning rates and batches of held-out settings in TABLES, for docs/hyperparameters.md
	@tools/venv.sh dev
	@$(BIN)/python -m benchmarks.hyperparameters $(TABLES)

laboratory: ## train the runs of the dataset `laboratory` that are missing, cheapest first; takes hours
	@tools/venv.sh dev
	@$(BIN)/python -m laboratory train

laboratory-laws: ## pool every law on the laboratory's runs, and its critical batch beside those in TABLES, for docs/laboratory.md
	@tools/venv.sh dev
	@$(BIN)/python -m benchmarks.laboratory $(TABLES) --store build/laboratory

notebooks: ## execute the notebooks in place
	@tools/venv.sh dev
	@$(BIN)/python tools/execute_notebooks.py

readme: demo ## put the demo's figure and table into the README
	@$(BIN)/python tools/update_readme.py

constraints: ## update the pinned versions that CI tests with
	@tools/venv.sh dev
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile pyproject.toml --group dev --universal \
		--python-version 3.12 --strip-extras --no-annotate --no-header --quiet \
		--upgrade --output-file constraints.txt

clean: ## remove everything that make has built
	@rm -rf .venv demo build dist docs/_generated .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
