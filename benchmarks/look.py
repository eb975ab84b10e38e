"""Screenshots of a report in headless Chromium, in both themes and at phone width.

    python benchmarks/look.py REPORT.html --folder SCRATCH [--chromium PROGRAM]

Exits with 1 where the page says anything on the console, asks for anything beside itself, or is
wider than its window. Chromium is the Debian package `chromium`; it is driven over its own pipe.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LOOKS = {
    "light": (1100, "light"),
    "dark": (1100, "dark"),
    "phone-light": (360, "light"),
    "phone-dark": (360, "dark"),
}
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe")


class Browser:
    """Commands and events of the DevTools protocol over a pair of pipes."""

    def __init__(self, read: int, write: int) -> None:
        self._read = os.fdopen(read, "rb")
        self._write = write
        self._number = 0
        self.session: str | None = None
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, **given: Any) -> dict[str, Any]:
        """The answer to a command; events that come before it are kept."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": given}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                return dict(answer.get("result", {}))
            self.events.append(answer)

    def wait(self, method: str) -> None:
        """Until this event has come."""
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self._next())

    def _next(self) -> dict[str, Any]:
        letters = bytearray()
        while (letter := self._read.read(1)) != b"\0":
            if not letter:
                raise SystemExit("the browser ended")
            letters += letter
        return dict(json.loads(letters))


@contextmanager
def browser(program: str) -> Iterator[Browser]:
    """A browser of our own, which ends with this block."""
    to_child, from_us = os.pipe()
    from_child, to_us = os.pipe()
    with tempfile.TemporaryDirectory() as profile:
        # The protocol has its ends at 3 and 4, whatever numbers the pipes got here.
        script = f'exec "$0" "$@" 3<&{to_child} 4>&{to_us}'
        process = subprocess.Popen(
            ["bash", "-c", script, program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(to_child, to_us),
            stderr=subprocess.DEVNULL,
        )
        os.close(to_child)
        os.close(to_us)
        try:
            yield Browser(from_child, from_us)
        finally:
            process.terminate()
            process.wait()
            os.close(from_us)


def look(page: Path, folder: Path, program: str) -> list[str]:
    """The screenshots into `folder`; what is wrong with the page, in words."""
    address = page.resolve().as_uri()
    wrong = []
    with browser(program) as chromium:
        target = chromium.call("Target.createTarget", url="about:blank")["targetId"]
        attached = chromium.call("Target.attachToTarget", targetId=target, flatten=True)
        chromium.session = attached["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            chromium.call(f"{domain}.enable")
        for name, (width, theme) in LOOKS.items():
            chromium.call(
                "Emulation.setDeviceMetricsOverride",
                width=width,
                height=800,
                deviceScaleFactor=1,
                mobile=width < 500,
            )
            feature = {"name": "prefers-color-scheme", "value": theme}
            chromium.call("Emulation.setEmulatedMedia", features=[feature])
            chromium.events.clear()
            chromium.call("Page.navigate", url=address)
            chromium.wait("Page.loadEventFired")
            size = chromium.call("Page.getLayoutMetrics")["cssContentSize"]
            if size["width"] > width:
                wrong.append(f"{name}: {size['width']} pixels wide in a window of {width}")
            wrong += [f"{name}: {said}" for said in complaints(chromium.events, address)]
            clip = {"x": 0, "y": 0, "width": width, "height": min(size["height"], 12000)}
            shot = chromium.call(
                "Page.captureScreenshot", captureBeyondViewport=True, clip={**clip, "scale": 1}
            )
            (folder / f"{page.stem}-{name}.png").write_bytes(base64.b64decode(shot["data"]))
    return wrong


def complaints(events: list[dict[str, Any]], address: str) -> Iterator[str]:
    """What the console said, and each request but the one for the page and for data in it."""
    for event in events:
        method, given = event.get("method"), event.get("params", {})
        if method == "Log.entryAdded":
            yield f"console: {given['entry']['text']}"
        elif method in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
            yield f"console: {json.dumps(given)[:300]}"
        elif method == "Network.requestWillBeSent":
            asked = given["request"]["url"]
            if asked != address and not asked.startswith("data:"):
                yield f"request: {asked}"


def main() -> None:
    """Look at each page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    given = parser.parse_args()
    if given.chromium is None:
        raise SystemExit("no chromium is installed: apt-get install chromium")
    given.folder.mkdir(parents=True, exist_ok=True)
    wrong = [said for page in given.pages for said in look(page, given.folder, given.chromium)]
    print(*(wrong or ["no complaint"]), sep="\n")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
