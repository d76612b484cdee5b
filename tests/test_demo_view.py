"""--view: pages for this machine's browser."""

import threading
import urllib.error
import urllib.request

import pytest

from tokenhmr.demo.view import HOST, PageServer, view


@pytest.fixture
def pages(tmp_path):
    found = []
    for name in ("one", "zwei & drei"):
        (tmp_path / name).mkdir()
        found.append(tmp_path / name / "viewer.html")
        found[-1].write_text(f"<p>page {name}", encoding="utf-8")
    (tmp_path / "one" / "people.npz").write_bytes(b"secret")
    return found


@pytest.fixture
def fetch():
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return lambda address: opener.open(address, timeout=10).read().decode()


def test_pages_and_their_list_are_served_and_nothing_else(pages, fetch):
    with PageServer(pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        root = server.address
        assert root.startswith(f"http://{HOST}:")
        listing = fetch(root)
        assert "zwei &amp; drei" in listing and "zwei%20%26%20drei" in listing
        assert fetch(f"{root}zwei%20%26%20drei") == "<p>page zwei & drei"
        for path in ("one/people.npz", "one/../one/people.npz", "etc/passwd"):
            with pytest.raises(urllib.error.HTTPError, match="404") as refusal:
                fetch(root + path)
            refusal.value.close()
        server.shutdown()


def test_one_page_opens_by_itself_and_ctrl_c_ends(pages, fetch, monkeypatch):
    said, opened = [], []
    monkeypatch.setattr(PageServer, "serve_forever", lambda server: (_ for _ in ()).throw(KeyboardInterrupt))
    view(pages[:1], said.append, browse=opened.append)
    assert len(opened) == 1 and opened[0].endswith("/one") and opened[0] in said[0]
    assert len(said) == 2
