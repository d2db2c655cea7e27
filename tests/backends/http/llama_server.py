"""llama.cpp's own server (from the wheel `xllamacpp`) on 127.0.0.1, in a process of its own: two builds of llama.cpp do
not go into one.

`python -m tests.backends.http.llama_server MODEL` prints its address and serves until stdin ends.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.conftest import ROOT, environment


@contextmanager
def llama_server(model: Path) -> Iterator[str]:
    """The address of a server of a GGUF file, until the end of the block."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.backends.http.llama_server", str(model)],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        url = child.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:"), f"llama.cpp's server did not start ({child.poll()})"
        yield url
    finally:
        child.stdin.close()
        try:
            child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def main() -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = sys.argv[1]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = 8192
    params.n_parallel = 2
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 2
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
