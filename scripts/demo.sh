#!/usr/bin/env bash
# Judges the example files of every task with the small models, showing each command before its verdicts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PWD/.venv/bin:$PATH"

show() {
    printf '\n$ %s\n' "$*"
    "$@"
}

# The one thing that fare-nano was trained for, and what it says about it.
show fare models pull fare-nano
show fare judge verify examples/verify.jsonl --model fare-nano --mode critique --max-tokens 96
# Its base says the same letter in both orders, so that only their mean tells anything.
show fare judge pairwise examples/pairwise.jsonl --model smollm2 --mode direct --combine mean
show fare judge step examples/step.jsonl --model smollm2 --mode direct
show fare judge score examples/score.jsonl --model smollm2 --max-tokens 96

printf '\nThese verdicts come from models of 135M parameters. fare-nano compares an answer with a reference (docs/fare-nano.md);\nall else is chance: see docs/models.md for real judges.\n'
printf 'fare is ready: .venv/bin/fare --help\n'
