#!/usr/bin/env bash
# Puts OpenRLHF and verl into a folder, with as much of what they need as their code that asks for rewards imports, so that
# tests/rewards/test_trainers.py can run it: bash scripts/trainers.sh DIR. Neither can be installed whole on a CPU, or
# beside the other: they pin flash-attn, vllm and versions of transformers.
set -euo pipefail
folder="${1:?a folder}"
python="${PYTHON:-.venv/bin/python}"
wanted=(
    openrlhf==0.11.2 verl==0.9.1
    aiohttp==3.14.5 aiosignal aiohappyeyeballs frozenlist multidict propcache yarl
    antlr4-python3-runtime==4.9.3 codetiming hydra-core omegaconf==2.4.0 orjson pylatexenc pyvers ray==2.60.0
    tensordict==0.10.0 torchdata
)
if [ "$(cat "$folder/packages" 2>/dev/null || true)" != "${wanted[*]}" ]; then
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target "$folder" "${wanted[@]}"
    printf '%s\n' "${wanted[*]}" >"$folder/packages"
fi
