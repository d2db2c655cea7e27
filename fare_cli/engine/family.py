"""The chat templates people meet, told apart by their text."""

from __future__ import annotations

HARMONY = "harmony"

# In this order: harmony's templates have marks of their own, and some templates mention those of others.
_MARKS = {
    "<|channel|>": HARMONY,
    "<|start_header_id|>": "llama-3",
    "<start_of_turn>": "gemma",
    "<|im_start|>": "chatml",
    "[INST]": "mistral",
}
_THINKING_SWITCH = "enable_thinking"


def template_family(template: str) -> str:
    """The name of a chat template's layout, for people: `harmony`, `chatml`, `qwen3` (ChatML whose thinking can be
    switched off), `llama-3`, `gemma`, `mistral` or `other`."""
    family = next((family for mark, family in _MARKS.items() if mark in template), "other")
    return "qwen3" if family == "chatml" and _THINKING_SWITCH in template else family
