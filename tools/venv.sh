#!/bin/sh
# Make .venv and install bayescale into it: `tools/venv.sh` for use, `tools/venv.sh dev` for work.
# Exits with an error if no Python is new enough. It can be run again, also after a failure.
set -eu
cd "$(dirname "$0")/.."
purpose=${1:-use}
stamp=.venv/.installed-$purpose

if [ -f "$stamp" ] && [ -z "$(find pyproject.toml constraints.txt hatch_build.py -newer "$stamp")" ] &&
    .venv/bin/python -c "" 2>/dev/null; then
    exit 0
fi

new_enough='import sys; sys.exit(sys.version_info < (3, 12))'
if ! .venv/bin/python -c "$new_enough" 2>/dev/null; then
    python=
    for candidate in ${PYTHON:-} python3 python3.13 python3.14 python3.12 python; do
        # A name on the PATH may be a shim of a missing version, so each is run.
        if "$candidate" -c "$new_enough" 2>/dev/null; then
            python=$candidate
            break
        fi
    done
    if [ -z "$python" ]; then
        echo "bayescale needs Python 3.12 or newer and found none; install one, or name it: make PYTHON=/path/to/python3." >&2
        exit 1
    fi
    rm -rf .venv
    if ! "$python" -m venv .venv; then
        echo "$python could not make a virtual environment; install its venv package (python3-venv on Debian)." >&2
        rm -rf .venv
        exit 1
    fi
fi

echo "Installing bayescale into .venv ..." >&2
set -- --quiet --constraint constraints.txt --editable .
if [ "$purpose" = dev ]; then
    set -- "$@" --group dev
fi
# uv is faster than pip. It reads neither pip's configuration nor its mirrors,
# so pip is the fallback if uv cannot reach an index.
if ! { .venv/bin/python -m pip install --quiet uv &&
    .venv/bin/uv pip install --python .venv/bin/python "$@"; } 2>/dev/null; then
    # The pip that comes with Python may be too old for dependency groups.
    .venv/bin/python -m pip install --quiet --upgrade "pip>=25.1"
    .venv/bin/python -m pip install "$@"
fi
if [ "$purpose" = dev ]; then
    touch .venv/.installed-use
fi
touch "$stamp"
