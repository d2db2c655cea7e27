"""The connection to a Ray cluster: the one in RAY_ADDRESS, or one of this machine alone that ends with the run."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

from fare_cli.cluster.pool import Node
from fare_cli.errors import EnvironmentFault, FareError

# What travels through Ray are names and counts; its default is a third of the memory, which the engines need.
_OBJECT_STORE_BYTES = 128 * 1024 * 1024
_LOOPBACK = "127.0.0.1"


@contextlib.contextmanager
def connected(*, verbose: bool = False) -> Iterator[None]:
    """A connection to Ray while it is open; one that the process has already is used and left alone.

    Without RAY_ADDRESS a cluster is started on this machine: it listens on 127.0.0.1 only, asks for a token that its
    own processes alone know, has no dashboard and reports no usage, and its files are gone when it ends. Raises
    EnvironmentFault where Ray is not installed or the cluster does not answer.
    """
    address = os.environ.get("RAY_ADDRESS") or None
    if address is None:
        _keep_to_this_machine()
    ray = _imported()
    if ray.is_initialized():
        yield
        return
    terminate = signal.getsignal(signal.SIGTERM)
    with contextlib.ExitStack() as stack:
        folder = _folder(stack) if address is None else None
        stack.callback(ray.shutdown)
        try:
            with _quietly(verbose):
                _start_here(ray, folder, verbose) if folder else _join(ray, address, verbose)
        except FareError:
            raise
        except Exception as error:  # Ray raises Exception itself where one of its processes does not start
            raise _no_answer(address, error) from error
        finally:
            # Ray's own handler would end the process with another exit code than fare's.
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, terminate)
        yield


def _keep_to_this_machine() -> None:
    """Sets what Ray reads at its import and what its processes inherit."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Ray's switch for systems whose firewalls ask about every listening program: all its processes bind 127.0.0.1.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    # Else Ray would write a token into the home directory, readable by everybody.
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def _no_answer(address: str | None, error: Exception) -> EnvironmentFault:
    if address is None:
        hint = "is there room for it, in /tmp and in memory? --verbose shows what Ray says"
        return EnvironmentFault(f"Ray does not start on this machine: {error}", hint)
    hint = "is it running there? ray status shows a cluster"
    return EnvironmentFault(f"Ray does not answer at RAY_ADDRESS={address}: {error}", hint)


def _imported() -> Any:
    # What fails is raised as well; the rest are notes for the developers of Ray.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise EnvironmentFault(
            "--cluster ray needs Ray Data, which is not installed", "install it: pip install 'fare-cli[ray]'"
        ) from error
    return ray


@contextlib.contextmanager
def _quietly(verbose: bool) -> Iterator[None]:
    """Keeps back what Ray's native part says on stderr while it starts, which no setting of its own does."""
    if verbose:
        yield
        return
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def _folder(stack: contextlib.ExitStack) -> str:
    """A folder for the files of a cluster, which goes with it."""
    # Not below TMPDIR: the names of Ray's sockets have room for some 50 characters more.
    folder = tempfile.mkdtemp(prefix="fare-ray-", dir="/tmp")
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    # Ray opens the folder that it is given to everybody (0777); around it, ours stays closed (0700).
    return f"{folder}/r"


def _join(ray: Any, address: str | None, verbose: bool) -> None:
    ray.init(address, log_to_driver=verbose, logging_level="ERROR")


def _start_here(ray: Any, folder: str, verbose: bool) -> None:
    ray.init(
        "local",
        include_dashboard=False,
        object_store_memory=_OBJECT_STORE_BYTES,
        log_to_driver=verbose,
        logging_level="ERROR",
        _temp_dir=folder,
    )
    bound = [node["NodeManagerAddress"] for node in ray.nodes()]
    if bound != [_LOOPBACK]:
        raise EnvironmentFault(
            f"Ray listens on {', '.join(bound)} and not on {_LOOPBACK} alone",
            "was Ray imported before fare? Connect to a cluster of your own with RAY_ADDRESS",
        )


def nodes() -> list[Node]:
    """The machines of the cluster that are there now."""
    import ray

    found = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [Node(int(one.get("CPU", 0)), float(one.get("GPU", 0))) for one in found]
