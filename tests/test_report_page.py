"""report.html in a real browser, opened from disk."""

import json

import numpy as np
import pytest

from tests.chromium import Chromium
from tests.test_report import PROTOCOL, body, findings, material  # noqa: F401  (fixtures)


@pytest.fixture(scope="module")
def page(findings, tmp_path_factory):  # noqa: F811
    path = tmp_path_factory.mktemp("report äö") / "report.html"
    path.write_bytes(findings.files["report.html"].encode("utf-8"))
    with Chromium(tmp_path_factory.mktemp("profile"), size=(1200, 900)) as browser:
        browser.open(path.as_uri())
        browser.until("document.readyState === 'complete'", seconds=60)
        yield browser


def test_it_opens_alone_and_without_errors(page):
    assert [url.partition(":")[0] for url in page.requested()] == ["file"], "the page itself and nothing else"
    assert page.complaints() == []
    assert page.run("document.scripts.length") == 0
    assert page.run("document.querySelector('h1').textContent") == "noise <with> a mean pose", "names are text, not tags"
    assert page.run("document.documentElement.scrollWidth <= innerWidth")


def test_its_tables_say_what_the_json_says(page, findings):  # noqa: F811
    report = json.loads(findings.files["report.json"])
    words = page.run("[...document.querySelectorAll('td')].map(cell => cell.textContent)")
    for name in ("mpjpe", "pa_mpjpe", "global_orient"):
        found = report["numbers"][name]
        assert f"{found['mean']:.1f} ({found['low']:.1f} to {found['high']:.1f})" in words
    assert set(report["joints"]) <= {word.removesuffix(" small") for word in words}
    titles = page.run("[...document.querySelectorAll('h3')].map(head => head.textContent)")
    assert {how["title"] for how in report["slices"].values()} <= set(titles)
    assert page.run("document.querySelectorAll('.small').length") > 0, "seven pictures are few"
    assert {"assets.open", PROTOCOL.words()["assets"]["open"], ", ".join(PROTOCOL.metrics)} <= set(words)
    assert page.run(
        "[...document.querySelectorAll('.words td')].every(cell => cell.getBoundingClientRect().right <= innerWidth)"
    )
    drawn = page.run("[...document.querySelectorAll('td svg circle')].map(dot => +dot.getAttribute('cx'))")
    assert len(drawn) > 30 and all(0 <= place <= 220 for place in drawn)


def test_its_pictures_are_there_and_show_something(page, findings):  # noqa: F811
    report = json.loads(findings.files["report.json"])
    cases = [row["key"] for rows in report["cases"].values() for row in rows]
    assert page.run("[...document.images].every(image => image.complete && image.naturalWidth === 1292)")
    alts = page.run("[...document.images].map(image => image.alt)")
    assert [alt.partition(":")[0] for alt in alts] == cases and len(cases) == 6
    page.run("document.images[0].scrollIntoView()")
    left, top, right, bottom = page.run(
        "(r => [r.left, r.top, r.right, r.bottom].map(Math.round))(document.images[0].getBoundingClientRect())"
    )
    seen = page.screenshot()[top:bottom, left:right]
    assert min(seen.shape[:2]) > 50 and np.std(seen) > 20
