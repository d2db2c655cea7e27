"""Python code that may do anything, run in a child process with as little as the system lets us give it.

The child is isolated Python without site-packages in an empty folder that is removed afterwards, has no environment, a
process group of its own that is killed as a whole, limits on processor time, memory, files and processes, and, where
the system offers unprivileged namespaces (`unshare`), no network and no sight of other processes. That keeps mutated
code of a data set from harm by accident; it is no wall against an attacker.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from typing import Literal

Outcome = Literal["passed", "failed", "timeout"]

CPU_S = 5
WALL_S = 20.0
"""Generous against a busy machine: what is slow and not wrong is a timeout, and proves nothing."""
_MEMORY_BYTES = 1 << 30
_FILE_BYTES = 1 << 20
_NAMESPACES = ("--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child", "--ipc")

# The limits are set by the child itself, before it reads the code. The word comes in with the code and goes out
# only after its end, so that a code that leaves early (sys.exit) has not passed.
_CHILD = f"""
import resource, sys
for what, most in (
    (resource.RLIMIT_CPU, {CPU_S}), (resource.RLIMIT_AS, {_MEMORY_BYTES}), (resource.RLIMIT_FSIZE, {_FILE_BYTES}),
    (resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, 32), (resource.RLIMIT_NPROC, 32),
):
    resource.setrlimit(what, (most, most))
word, code = sys.stdin.readline(), sys.stdin.read()
out, sys.stdout, sys.stderr = sys.stdout, None, None
exec(compile(code, "code", "exec"), {{"__name__": "code"}})
out.write(word)
out.flush()
"""


def run(code: str, *, wall_s: float = WALL_S) -> Outcome:
    """Whether the code runs to its end without an exception; "timeout" where a limit on time ended it."""
    word = secrets.token_hex(16)
    with tempfile.TemporaryDirectory(prefix="fare-sandbox-") as folder:
        child = subprocess.Popen(
            [*_isolation(), sys.executable, "-I", "-S", "-c", _CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={},
            start_new_session=True,
        )
        try:
            said, _ = child.communicate(f"{word}\n{code}".encode(), timeout=wall_s)
        except subprocess.TimeoutExpired:
            return "timeout"
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            assert child.stdout is not None
            child.stdout.close()
    # Through unshare the signal comes as 128 + its number.
    if child.returncode in (-signal.SIGXCPU, -signal.SIGKILL, 128 + signal.SIGXCPU, 128 + signal.SIGKILL):
        return "timeout"
    return "passed" if child.returncode == 0 and said.decode().strip() == word else "failed"


@functools.cache
def _isolation() -> tuple[str, ...]:
    """The command that gives a child namespaces of its own; empty where the system does not let us."""
    program = shutil.which("unshare")
    if program is None:
        return ()
    command = (program, *_NAMESPACES, "--")
    tried = subprocess.run([*command, "true"], capture_output=True, check=False)
    return command if tried.returncode == 0 else ()


def is_without_network() -> bool:
    """Whether the sandbox takes the network away on this system."""
    return bool(_isolation())
