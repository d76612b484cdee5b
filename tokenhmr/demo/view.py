"""Shows viewers in the browser: a server for this machine only, which hands out the written pages and nothing else."""

from __future__ import annotations

import html
import webbrowser
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote

HOST = "127.0.0.1"  # nobody else can ask
_LIST = """<!doctype html><meta charset="utf-8"><title>tokenhmr</title>
<style>body {{ font: 16px/1.6 system-ui, sans-serif; margin: 2rem }}</style><ul>{lines}</ul>"""


class PageServer(ThreadingHTTPServer):
    """Serves some pages by the names of their folders; with several, a list of them at the root."""

    daemon_threads = True

    def __init__(self, pages: Sequence[Path]) -> None:
        self.pages = {f"/{quote(page.parent.name)}": page for page in pages}
        super().__init__((HOST, 0), _Handler)

    @property
    def address(self) -> str:
        """Where a browser finds it: the page itself when there is one."""
        only = next(iter(self.pages)) if len(self.pages) == 1 else "/"
        return f"http://{HOST}:{self.server_port}{only}"

    def listing(self) -> bytes:
        """A link to each page."""
        names = {path: html.escape(unquote(path[1:])) for path in self.pages}
        return _LIST.format(lines="".join(f'<li><a href="{path}">{name}</a>' for path, name in names.items())).encode()


class _Handler(BaseHTTPRequestHandler):
    server: PageServer

    def do_GET(self) -> None:
        page = self.server.pages.get(self.path)
        if page is not None and page.is_file():
            self._answer(200, page.read_bytes())
        elif self.path == "/":
            self._answer(200, self.server.listing())
        else:
            self._answer(404, b"no such page")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are nobody's news."""


def view(pages: Sequence[Path], say: Callable[[str], object], *, browse: Callable[[str], object] = webbrowser.open) -> None:
    """Serve the pages, open the browser there, and go on until Ctrl-C. Where no browser opens, the address is said."""
    with PageServer(pages) as server:
        say(f"{server.address} shows the bodies; Ctrl-C ends it")
        browse(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("the viewer is closed; viewer.html opens from disk, too")
