"""How a context's sequences are given out: generating slots from 0, above them roots and trunks, last the reader."""

from __future__ import annotations

#: Most sequences one context can hold (`LLAMA_MAX_SEQ` in llama-cparams.h).
MAX_SEQUENCES = 256

#: Sequences kept for the beginnings shared by a whole run (a file may mix two prompts: verify with and without
#: reference).
ROOTS = 2

#: Trunks below the run's own (system prompt), at most: question or answer, then the whole prompt of several votes.
DEPTH = 2

#: Sequences beside the slots: roots, the trunks of one group, the reader.
EXTRA_SEQUENCES = ROOTS + DEPTH + 1
