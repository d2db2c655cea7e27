#!/usr/bin/env bash
# Judges the example files of every task with the small model, showing each command before its verdicts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PWD/.venv/bin:$PATH"

show() {
    printf '\n$ %s\n' "$*"
    "$@"
}

# The small model says the same letter in both orders, so that only their mean tells anything.
show fare judge pairwise examples/pairwise.jsonl --model smollm2 --mode direct --combine mean
show fare judge step examples/step.jsonl --model smollm2 --mode direct
show fare judge verify examples/verify.jsonl --model smollm2 --mode direct
show fare judge score examples/score.jsonl --model smollm2 --max-tokens 96

printf '\nThese verdicts come from a model of 135M parameters, which judges poorly: see docs/models.md for real ones.\n'
printf 'fare is ready: .venv/bin/fare --help\n'
