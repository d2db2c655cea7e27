#!/usr/bin/env bash
# Makes .venv ready to use: Python packages, the engine built for this CPU, the small model. Safe to run again.
# `setup.sh tests` also brings what only the tests need: torch, transformers, trl, llama.cpp's converter, and in CI Chromium.
# PYTHON=/path/to/python chooses the interpreter; CMAKE_ARGS is passed on to the engine's build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    printf 'error: %s\n' "$1" >&2
    printf 'hint: %s\n' "$2" >&2
    exit 5
}

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null 2>&1 && is_new_enough "$candidate"; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    fail "no Python 3.11 or newer was found" "on Debian or Ubuntu: apt install python3 python3-venv build-essential (PYTHON=... names another one)"
}

# What torch would bring is in pip's report, for which it reads metadata alone where the index has it (PyPI has).
install_torch_without_cuda() {
    local report
    report="$("${pip_install[@]}" --dry-run --ignore-installed --report - torch==2.13.0)" ||
        fail "torch 2.13.0 cannot be had from PyTorch's index, nor from the one that pip is set up for" "see what pip says above"
    printf '%s' "$report" | .venv/bin/python -c 'import json, sys
names = [one["metadata"]["name"].lower() for one in json.load(sys.stdin)["install"]]
sys.exit(any(name.startswith(("nvidia", "cuda")) for name in names))' ||
        fail "PyTorch's index of CPU builds cannot be reached, and the torch of the one that pip is set up for brings CUDA (gigabytes)" \
            "let https://download.pytorch.org through, or install a torch of your choice first: .venv/bin/python -m pip install torch==2.13.0"
    "${pip_install[@]}" torch==2.13.0
}

case "$(uname -s)" in
    Linux | Darwin) ;;
    *) fail "$(uname -s) is not supported" "on Windows, use WSL" ;;
esac

if [ ! -x .venv/bin/python ]; then
    python="$(find_python)"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python cannot make virtual environments" "on Debian or Ubuntu: apt install python3-venv"
    "$python" -m venv .venv
fi
is_new_enough .venv/bin/python || fail ".venv has no working Python 3.11 or newer" "remove .venv and run this again"
.venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null 2>&1 ||
    fail ".venv has no pip, and it cannot be put there" "remove .venv and run this again"

.venv/bin/python scripts/engine.py

# Judging needs fare alone; `setup.sh tests` brings what the tests need, too. Packages are installed again only when what
# they are made from has changed.
if [ "${1:-}" = tests ]; then extras='[dev,train]'; else extras=''; fi
wanted="$(.venv/bin/python -c 'import hashlib, sys; print(sys.version, hashlib.sha256(open("pyproject.toml", "rb").read()).hexdigest())')"
installed="$([ ! -x .venv/bin/fare ] || cat .venv/fare-packages 2>/dev/null || true)"
if [ "$installed" != "$wanted [dev,train]" ] && [ "$installed" != "$wanted $extras" ]; then
    echo "installing fare and its packages" >&2
    pip_install=(.venv/bin/python -m pip install --quiet --disable-pip-version-check)
    if [ -n "$extras" ] && ! .venv/bin/python -c 'import torch' 2>/dev/null; then
        # For Linux, PyPI's torch brings CUDA (3 GB). The CPU is enough here, and PyTorch's own index has a torch for it.
        # Where that index cannot be reached (a mirror, no network), the one that pip is set up for may have such a torch,
        # too. The version is the one that the tests were written against.
        "${pip_install[@]}" --retries 1 --timeout 15 --index-url https://download.pytorch.org/whl/cpu torch==2.13.0 2>/dev/null ||
            install_torch_without_cuda
    fi
    "${pip_install[@]}" --editable ".$extras"
    printf '%s\n' "$wanted $extras" >.venv/fare-packages
fi

.venv/bin/fare models pull smollm2 >/dev/null
if [ -n "$extras" ]; then
    .venv/bin/python -c 'import sys; from fare_cli.gguf.building.converter import find_converter as find
find(say=lambda line: print(line, file=sys.stderr))'
fi

# Pages are tested in a real browser. On a person's machine nothing is installed outside of .venv: without one those tests skip.
has_chromium() { command -v chromium || command -v chromium-browser || command -v google-chrome || command -v google-chrome-stable; }
if [ -n "$extras" ] && [ -z "${FARE_TEST_CHROMIUM:-}" ] && ! has_chromium >/dev/null; then
    if [ -n "${CI:-}" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing Chromium" >&2
        { apt-get update -qq &&
            DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium fonts-dejavu-core; } >&2 || true
    fi
    has_chromium >/dev/null ||
        echo "note: no Chromium was found, so the tests of pages will skip (Debian, Ubuntu: apt install chromium)" >&2
fi
