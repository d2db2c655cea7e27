"""A Hub on 127.0.0.1 that speaks enough of the Hugging Face Hub's protocol for its real client, and fails on demand.

Files of over 10 kB are served as the Hub serves what it keeps in Git LFS: the metadata on the answer to `resolve`, the
bytes behind a redirect, on another port (so that whoever sends a token there gives it away). Smaller ones are answered
at once, with git's checksum as their ETag. A repository with `xet` is also in the Hub's Xet storage: a token, how a
file is put together (one piece, of chunks that are not compressed), and its bytes, as in huggingface/xet-core's
specification.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

_LFS_FROM_BYTES = 10_000
_RESOLVE = re.compile(r"/(?P<repository>[\w.-]+/[\w.-]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")
_CHUNK_BYTES = 1 << 16
_XET = re.compile(r"/(?:xet-token|cas/v1/reconstructions/(?P<reconstruction>\w{64})|xorbs/(?P<xorb>\w{64}))")
_INFO = re.compile(r"/api/models/(?P<repository>[\w.-]+/[\w.-]+?)(?:/revision/(?P<revision>[^/]+))?")


@dataclass
class FakeRepository:
    """One repository: its files, and what its card and its owner say. Every change of `files` is another commit."""

    files: dict[str, bytes]
    licence: str | None = "apache-2.0"
    gated: bool = False
    xet: bool = False
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def commit(self) -> str:
        digest = hashlib.sha1(usedforsecurity=False)
        for name, content in sorted(self.files.items()):
            digest.update(name.encode() + content)
        return digest.hexdigest()


@dataclass
class Request:
    """A request as it arrived. `at` says where: `api`, `resolve`, `cdn`, `xet` or `elsewhere`."""

    at: str
    method: str
    path: str
    headers: dict[str, str]

    @property
    def range(self) -> str | None:
        return self.headers.get("range")

    @property
    def token(self) -> str | None:
        return self.headers.get("authorization")


@dataclass
class Fault:
    """Something that goes wrong at one place, `times` times from now on.

    `status` answers with that; `cut_after` closes the connection after so many bytes of the body, `stall_after` sends
    no more after them, `wrong_bytes` changes what is sent, `ignore_range` sends everything, `misstate_size` announces
    so many bytes more than there are.
    """

    at: str
    times: int = 1
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    stall_after: int | None = None
    wrong_bytes: bool = False
    ignore_range: bool = False
    misstate_size: int = 0


class FakeHub:
    """The running Hub. `url` goes into HF_ENDPOINT; `requests` is everything that was asked, in order."""

    def __init__(self) -> None:
        self.repositories: dict[str, FakeRepository] = {}
        self.tokens = {"hf_good": "member", "hf_other": "stranger"}
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.pace_s = 0.0
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._blobs: dict[str, bytes] = {}
        self.url = ""
        self.cdn_url = ""

    def bytes_of(self, at: str) -> list[Request]:
        """The requests for bodies at one place."""
        return [request for request in self.requests if request.at == at and request.method == "GET"]

    def blob_url(self, content: bytes) -> str:
        """An address of these bytes on the port that asks for no token: a web server with ETags and ranges."""
        digest = hashlib.sha256(content).hexdigest()
        self._blobs[digest] = content
        return f"{self.cdn_url}/blobs/{digest}/model.gguf"

    def blob(self, digest: str) -> bytes | None:
        return self._blobs.get(digest)

    def note(self, request: Request) -> Fault | None:
        """Records a request; gives the fault that is due at it."""
        with self._lock:
            self.requests.append(request)
            for fault in self.faults:
                if fault.at in (request.at, f"{request.method} {request.at}") and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    """A running Hub; all connections are closed at the end."""
    hub = FakeHub()
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub, cdn)) for cdn in (False, True)]
    hub.url, hub.cdn_url = (f"http://127.0.0.1:{server.server_address[1]}" for server in servers)
    threads = [threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        hub.stopped.set()
        for server in servers:
            server.daemon_threads = True
            server.shutdown()
            server.server_close()


def _handler(hub: FakeHub, is_cdn: bool) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        the_hub = hub
        cdn = is_cdn

    return Handler


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    the_hub: FakeHub
    cdn: bool

    def log_message(self, *_what: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        info, resolve = _INFO.fullmatch(path), _RESOLVE.fullmatch(path)
        xet = _XET.fullmatch(path)
        at = "cdn" if self.cdn else "api" if info else "resolve" if resolve else "xet" if xet else "elsewhere"
        headers = {name.lower(): value for name, value in self.headers.items()}
        fault = self.the_hub.note(Request(at, self.command, path, headers))
        if fault is not None and fault.status is not None:
            self._send(fault.status, dict(fault.headers), b"")
        elif self.cdn:
            self._blob(path, fault)
        elif info:
            self._info(info["repository"], info["revision"] or "main")
        elif resolve:
            self._resolve(resolve["repository"], resolve["revision"], resolve["file"], fault)
        elif xet:
            self._xet(xet["reconstruction"], xet["xorb"], fault)
        else:
            self._send(404, {}, b"")

    def _allowed(self, repository: str, *, file: bool) -> FakeRepository | None:
        """The repository, if whoever asks may see it; else the refusal is already sent, in the Hub's words."""
        token = (self.headers.get("authorization") or "").removeprefix("Bearer ")
        found = self.the_hub.repositories.get(repository)
        if token and token not in self.the_hub.tokens:
            self._send(401, {"X-Error-Message": "Invalid credentials in Authorization header"}, b"")
        elif found is None:
            self._send(404 if token else 401, {"X-Error-Code": "RepoNotFound"} if token else {}, b"")
        elif found.gated and file and self.the_hub.tokens.get(token) != "member":
            self._send(403 if token else 401, {"X-Error-Code": "GatedRepo"}, b"")
        else:
            return found
        return None

    def _commit(self, repository: FakeRepository, revision: str) -> str | None:
        commit = repository.tags.get(revision, repository.commit if revision in ("main", repository.commit) else None)
        if commit is None:
            self._send(404, {"X-Error-Code": "RevisionNotFound"}, b"")
        return commit

    def _info(self, name: str, revision: str) -> None:
        repository = self._allowed(name, file=False)
        commit = self._commit(repository, revision) if repository else None
        if repository is None or commit is None:
            return
        files = [_sibling(file, content) for file, content in repository.files.items()]
        card = {"license": repository.licence} if repository.licence else {}
        about: dict[str, Any] = {"id": name, "sha": commit, "siblings": files, "cardData": card}
        about["gated"] = "manual" if repository.gated else False
        self._send(200, {"Content-Type": "application/json"}, json.dumps(about).encode())

    def _resolve(self, name: str, revision: str, file: str, fault: Fault | None) -> None:
        repository = self._allowed(name, file=True)
        commit = self._commit(repository, revision) if repository else None
        if repository is None or commit is None:
            return
        content = repository.files.get(file)
        headers = {"X-Repo-Commit": commit}
        if content is None:
            self._send(404, {"X-Error-Code": "EntryNotFound", **headers}, b"")
        elif len(content) < _LFS_FROM_BYTES:
            self._body(content, {**headers, "ETag": f'"{_git_sha1(content)}"'}, fault)
        else:
            digest = hashlib.sha256(content).hexdigest()
            location = self.the_hub.blob_url(content)
            if repository.xet:
                headers |= {"X-Xet-Hash": digest, "X-Xet-Refresh-Route": f"{self.the_hub.url}/xet-token"}
            linked = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content)), "Location": location}
            self._send(302, {**headers, **linked}, b"")

    def _xet(self, reconstruction: str | None, xorb: str | None, fault: Fault | None) -> None:
        hub = self.the_hub
        if xorb is not None:
            packed = _packed(hub.blob(xorb) or b"", wrong=fault is not None and fault.wrong_bytes)
            self._send(206, {"Content-Range": f"bytes 0-{len(packed) - 1}/{len(packed)}"}, packed)
        elif reconstruction is not None:
            content = hub.blob(reconstruction) or b""
            chunks = {"start": 0, "end": -(-len(content) // _CHUNK_BYTES)}
            span = {"start": 0, "end": len(_packed(content)) - 1}
            term = {"hash": reconstruction, "unpacked_length": len(content), "range": chunks}
            where = {"range": chunks, "url": f"{hub.url}/xorbs/{reconstruction}", "url_range": span}
            answer = {"offset_into_first_range": 0, "terms": [term], "fetch_info": {reconstruction: [where]}}
            self._send(200, {"Content-Type": "application/json"}, json.dumps(answer).encode())
        else:
            expires = str(int(time.time()) + 3600)
            token = {"X-Xet-Cas-Url": f"{hub.url}/cas", "X-Xet-Access-Token": "xet", "X-Xet-Token-Expiration": expires}
            self._send(200, token, b"{}")

    def _blob(self, path: str, fault: Fault | None) -> None:
        content = self.the_hub.blob(path.split("/")[2])
        if content is None:
            self._send(404, {}, b"")
        else:
            etag = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
            self._body(content, {"ETag": etag, "Accept-Ranges": "bytes"}, fault)

    def _body(self, content: bytes, headers: Mapping[str, str], fault: Fault | None) -> None:
        fault = fault or Fault("nowhere")
        total = len(content) + fault.misstate_size
        first = self._first_byte(headers["ETag"]) if not fault.ignore_range else None
        if fault.wrong_bytes:
            content = content[:-1] + bytes([content[-1] ^ 1])
        if first is None:
            self._send(200, {**headers, "Content-Length": str(total)}, content, fault)
        elif first >= len(content):
            self._send(416, {"Content-Range": f"bytes */{total}"}, b"")
        else:
            last = self._last_byte(len(content))
            part = content[first : last + 1]
            stated = {"Content-Range": f"bytes {first}-{last}/{total}", "Content-Length": str(len(part))}
            self._send(206, {**headers, **stated}, part, fault)

    def _first_byte(self, etag: str) -> int | None:
        match = re.fullmatch(r"bytes=(\d+)-\d*", self.headers.get("range") or "")
        if match is None or self.headers.get("if-range") not in (None, etag):
            return None
        return int(match[1])

    def _last_byte(self, count: int) -> int:
        end = (self.headers.get("range") or "").rpartition("-")[2]
        return min(int(end), count - 1) if end else count - 1

    def _send(self, status: int, headers: dict[str, str], body: bytes, fault: Fault | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        limit = len(body)
        if fault is not None:
            limit = min([limit, *(stop for stop in (fault.cut_after, fault.stall_after) if stop is not None)])
        try:
            self._write(body[:limit])
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
            return
        if fault is not None and fault.stall_after is not None:
            self.the_hub.stopped.wait(20)
        if limit < len(body) or (fault is not None and fault.misstate_size):
            self._hang_up()

    def _write(self, body: bytes) -> None:
        step = 16_384 if self.the_hub.pace_s else len(body)
        for start in range(0, len(body), step or 1):
            self.wfile.write(body[start : start + step])
            self.the_hub.stopped.wait(self.the_hub.pace_s)

    def _hang_up(self) -> None:
        """Closes the connection in the middle, with everything sent so far on its way."""
        self.wfile.flush()
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 5))
        self.connection.shutdown(socket.SHUT_WR)


def _packed(content: bytes, *, wrong: bool = False) -> bytes:
    """A file as Xet keeps it: chunks, each behind a header of version, packed size, compression (none) and size."""
    packed = b""
    for start in range(0, len(content), _CHUNK_BYTES):
        chunk = content[start : start + _CHUNK_BYTES]
        size = len(chunk).to_bytes(3, "little")
        packed += bytes([0]) + size + bytes([0]) + size + (bytes(len(chunk)) if wrong else chunk)
    return packed


def _sibling(file: str, content: bytes) -> dict[str, Any]:
    about: dict[str, Any] = {"rfilename": file, "size": len(content), "blobId": _git_sha1(content)}
    if len(content) >= _LFS_FROM_BYTES:
        about["lfs"] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "pointerSize": 134}
    return about


def _git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
