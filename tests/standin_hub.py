"""A stand-in for the Hugging Face hub on the loopback interface, which counts what it serves.

It answers what `huggingface_hub` asks when it lists, downloads and uploads a model. Each served
repository may have one fault. `HF_ENDPOINT` of a child process points here (tests/hub_child.py).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

Fault = Literal["none", "denied", "gated", "cut", "corrupt", "dripping", "foreign", "no-ranges"]

COMMIT = hashlib.sha1(b"the one commit of every repository").hexdigest()
REVISIONS = ("main", "v1.0", COMMIT)
CUT_AFTER = 1000


@dataclass(frozen=True)
class Repository:
    folder: Path
    fault: Fault
    private: bool
    extra_name: str


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    authorization: str | None
    status: int
    sent: int


@dataclass
class StandinHub:
    """What is served, what was asked, and what was uploaded."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    uploads: dict[str, dict[str, bytes]] = field(default_factory=dict)
    large_objects: dict[str, bytes] = field(default_factory=dict)
    endpoint: str = ""

    def serve(
        self,
        name: str,
        folder: Path,
        fault: Fault = "none",
        *,
        private: bool = False,
        extra_name: str = "",
    ) -> None:
        """Serve the folder; `extra_name` is listed beside its files, and is in no folder."""
        self.repositories[name] = Repository(folder, fault, private, extra_name)

    def asked_of(self, name: str) -> list[Request]:
        return [request for request in self.requests if f"/{name}/" in request.path + "/"]

    def bytes_sent(self, name: str) -> int:
        return sum(request.sent for request in self.asked_of(name))


@contextlib.contextmanager
def running() -> Iterator[StandinHub]:
    """The stand-in on a free port, for as long as the context lasts."""
    hub = StandinHub()

    class Handler(_Handler):
        pass

    Handler.hub = hub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _is_large(name: str) -> bool:
    return name.endswith((".safetensors", ".bin"))


def _digest(name: str, content: bytes) -> str:
    if _is_large(name):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: StandinHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the requests are counted instead."""

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if match := re.fullmatch(r"/(.+?)/resolve/([^/]+)/(.+)", path):
            self._file(*match.groups())
        elif match := re.fullmatch(r"/api/models/(.+?)/tree/([^/]+)", path):
            self._tree(*match.groups())
        elif match := re.fullmatch(r"/api/models/(.+?)(?:/revision/(.+))?", path):
            self._info(match[1], match[2] or "main")
        else:
            self._answer(404, b"{}")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = unquote(urlsplit(self.path).path)
        if path == "/api/repos/create":
            self._create(json.loads(body))
        elif match := re.fullmatch(r"/api/models/(.+?)/preupload/main", path):
            self._upload_modes(json.loads(body))
        elif match := re.fullmatch(r"/(.+?)\.git/info/lfs/objects/batch", path):
            self._large_batch(json.loads(body))
        elif match := re.fullmatch(r"/api/models/(.+?)/commit/main", path):
            self._commit(match[1], body)
        else:
            self._answer(404, b"{}")

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.hub.large_objects[self.path.rpartition("/")[2]] = body
        self._answer(200, b"")

    def _repository(self, name: str, revision: str) -> Repository | None:
        """The repository, or None after an answer that says why not."""
        repository = self.hub.repositories.get(name)
        if repository is None:
            self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif repository.fault == "denied":
            self._answer(401, b"{}", {"X-Error-Message": "Invalid username or password."})
        elif repository.fault == "foreign":
            self._answer(200, b"<html>Log in to this wireless network</html>")
        elif repository.fault == "dripping":
            self._drip()
        elif revision not in REVISIONS:
            self._answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        else:
            return repository
        return None

    def _info(self, name: str, revision: str) -> None:
        if (repository := self._repository(name, revision)) is None:
            return
        siblings = []
        for entry in self._entries(repository):
            large = (
                {"lfs": {**entry["lfs"], "sha256": entry["lfs"]["oid"]}} if "lfs" in entry else {}
            )
            names = {"rfilename": entry["path"], "size": entry["size"], "blobId": entry["oid"]}
            siblings.append({**names, **large})
        self._json({"id": name, "sha": COMMIT, "private": repository.private, "siblings": siblings})

    def _tree(self, name: str, revision: str) -> None:
        if (repository := self._repository(name, revision)) is not None:
            self._json(self._entries(repository))

    def _entries(self, repository: Repository) -> list[dict[str, Any]]:
        entries = []
        for path in sorted(repository.folder.rglob("*")):
            if path.is_file():
                content = path.read_bytes()
                name = path.relative_to(repository.folder).as_posix()
                digest = _digest(name, content)
                large = {"oid": digest, "size": len(content), "pointerSize": 130}
                entry = {"type": "file", "path": name, "size": len(content), "oid": digest[:40]}
                entries.append({**entry, **({"lfs": large} if _is_large(name) else {})})
        if repository.extra_name:
            extra = {"type": "file", "path": repository.extra_name, "size": 2, "oid": "0" * 40}
            entries.append(extra)
        return entries

    def _file(self, name: str, revision: str, file: str) -> None:
        if (repository := self._repository(name, revision)) is None:
            return
        if not (repository.folder / file).is_file():
            self._answer(404, b"{}", {"X-Error-Code": "EntryNotFound"})
            return
        if repository.fault == "gated":  # the hub lists such a repository, and keeps its files
            self._answer(403, b"{}", {"X-Error-Code": "GatedRepo"})
            return
        content = (repository.folder / file).read_bytes()
        headers = {"ETag": f'"{_digest(file, content)}"', "X-Repo-Commit": COMMIT}
        if repository.fault == "corrupt" and _is_large(file):
            content = content[:-1] + bytes([content[-1] ^ 1])
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        status = 200
        if match and repository.fault != "no-ranges":
            first, last = int(match[1]), int(match[2] or len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            content, status = content[first : last + 1], 206
        if repository.fault == "cut" and _is_large(file) and self.command == "GET":
            self._cut(content, headers)
        else:
            self._answer(status, content, headers)

    def _create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        if name in self.hub.repositories:
            self._answer(409, json.dumps({"url": f"{self.hub.endpoint}/{name}"}).encode())
            return
        self.hub.uploads[name] = {}
        private = wanted.get("visibility") == "private" or wanted.get("private") is True
        self.hub.serve(name, Path("/nonexistent"), private=private)
        self._json({"url": f"{self.hub.endpoint}/{name}"})

    def _upload_modes(self, wanted: dict[str, Any]) -> None:
        paths = [file["path"] for file in wanted["files"]]
        modes = {path: "lfs" if _is_large(path) else "regular" for path in paths}
        files = [{"path": path, "uploadMode": modes[path], "shouldIgnore": False} for path in paths]
        self._json({"files": files})

    def _large_batch(self, wanted: dict[str, Any]) -> None:
        objects = [
            {**item, "actions": {"upload": {"href": f"{self.hub.endpoint}/put/{item['oid']}"}}}
            for item in wanted["objects"]
        ]
        self._json({"transfer": "basic", "objects": objects})

    def _commit(self, name: str, body: bytes) -> None:
        uploaded = self.hub.uploads.setdefault(name, {})
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                uploaded[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                uploaded[value["path"]] = self.hub.large_objects[value["oid"]]
        self._json(
            {"commitUrl": f"{self.hub.endpoint}/{name}/commit/{COMMIT}", "commitOid": COMMIT}
        )

    def _json(self, value: object) -> None:
        self._answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        body = b"" if self.command == "HEAD" else content
        self._count(status, len(body))
        with contextlib.suppress(ConnectionError):  # a client that has read enough hangs up
            self._head(status, len(content), headers or {})
            self.wfile.write(body)

    def _head(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(key, value)
        self.end_headers()

    def _cut(self, content: bytes, headers: dict[str, str]) -> None:
        """Some bytes, then a connection that is reset."""
        self._count(200, CUT_AFTER)
        self._head(200, len(content), headers)
        self.wfile.write(content[:CUT_AFTER])
        self.wfile.flush()
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()
        self.close_connection = True

    def _drip(self) -> None:
        """An answer that never ends and never pauses for long: no read ever times out."""
        self._count(200, 0)
        self._head(200, 1_000_000, {})
        pause = threading.Event()
        with contextlib.suppress(OSError):
            while not pause.wait(0.05):
                self.wfile.write(b" ")
                self.wfile.flush()

    def _count(self, status: int, sent: int) -> None:
        authorization = self.headers.get("Authorization")
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(Request(self.command, path, authorization, status, sent))
