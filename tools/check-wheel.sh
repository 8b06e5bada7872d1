#!/bin/sh
# Build the wheel, install it outside the checkout, and load every dataset and card from it.
set -eu
cd "$(dirname "$0")/.."
checkout=$PWD
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
.venv/bin/python -m pip wheel --quiet --no-deps --wheel-dir "$place" .
.venv/bin/python -m venv "$place/venv"
# As in tools/venv.sh: uv, which reuses its cache, or else pip.
set -- --quiet --constraint constraints.txt "$place"/bayescale-*.whl
.venv/bin/uv pip install --python "$place/venv/bin/python" "$@" 2>/dev/null ||
    "$place/venv/bin/python" -m pip install "$@"
cd "$place"
"$place/venv/bin/python" - "$checkout" <<'PYTHON'
import sys
from pathlib import Path

import bayescale as bs

checkout = Path(sys.argv[1])
assert checkout not in Path(bs.__file__).resolve().parents, "the checkout was imported"
datasets = sorted(folder.name for folder in (checkout / "datasets").iterdir())
cards = sorted(card.stem for card in (checkout / "models").glob("*.toml"))
assert sorted(bs.list_datasets().index) == datasets, bs.list_datasets()
assert sorted(bs.list_models().index) == cards, bs.list_models()
for name in datasets:
    print(bs.load_runs(name))
for name in cards:
    print(bs.load_model(name))
PYTHON
"$place/venv/bin/bayescale" models
echo "The wheel has every dataset and card."
