"""A real Chromium: open a page, wait until a person would see a word, keep a picture."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import websocket

from ci.steps import StepError, run, step
from tests.e2e.waiting import wait_for as wait

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "chromium-headless-shell"
NAMES = (PACKAGE, "chromium", "google-chrome")
START_TIMEOUT_SECONDS = 60
SHOWN_TIMEOUT_SECONDS = 120
CALL_TIMEOUT_SECONDS = 60
# The text of a document and of all that its components hide in trees of their own.
TEXT = """
(function text(node) {
  let found = node.nodeType === Node.TEXT_NODE ? node.textContent + " " : "";
  if (node.shadowRoot) found += text(node.shadowRoot);
  for (const child of node.childNodes) found += text(child);
  return found;
})(document)
"""


def program() -> str:
    """Return Chromium, which is installed where it is missing and we may; raise StepError otherwise."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is not None:
        return found
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise StepError("there is no Chromium to look at pages with", hint=f"install {PACKAGE} or chromium")
    apt = {"DEBIAN_FRONTEND": "noninteractive"}
    with step("install Chromium"):
        run(["apt-get", "update", "-qq"], env=apt)
        run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", PACKAGE], env=apt)
    return program()


def text_of(url: str, picture: Path, wait_for: str) -> str:
    """Return a page's text once a word is shown in it, and write a picture of it (PNG)."""
    with _page(url) as call:

        def shown() -> str | None:
            text = str(call("Runtime.evaluate", expression=TEXT)["result"].get("value", ""))
            return text if wait_for in text else None

        text = wait(shown, f"{url} shows {wait_for!r}", SHOWN_TIMEOUT_SECONDS)
        picture.write_bytes(base64.b64decode(call("Page.captureScreenshot", format="png")["data"]))
    return text


@contextlib.contextmanager
def _page(url: str) -> Iterator[Any]:
    """Yield what calls a method of the DevTools protocol on a page that was opened."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        command = [
            program(),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--remote-debugging-port=0",
            "--remote-allow-origins=*",
            "--window-size=1400,900",
            f"--user-data-dir={home}",
            url,
        ]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                connection = websocket.create_connection(_address(Path(home)), timeout=CALL_TIMEOUT_SECONDS)
                numbers = itertools.count(1)

                def call(method: str, **parameters: Any) -> dict[str, Any]:
                    number = next(numbers)
                    connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
                    while True:
                        answer = json.loads(connection.recv())
                        if answer.get("id") == number:
                            result: dict[str, Any] = answer["result"]
                            return result

                yield call
                connection.close()
            finally:
                process.kill()


def _address(home: Path) -> str:
    """Return the address of the page's DevTools."""
    port_file = home / "DevToolsActivePort"
    wait(port_file.exists, "Chromium listens", START_TIMEOUT_SECONDS)
    port = port_file.read_text(encoding="utf-8").split()[0]

    def address() -> str | None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=CALL_TIMEOUT_SECONDS) as reply:
            pages = [page for page in json.load(reply) if page["type"] == "page"]
        return str(pages[0]["webSocketDebuggerUrl"]) if pages else None

    return wait(address, "Chromium has a page", START_TIMEOUT_SECONDS)
