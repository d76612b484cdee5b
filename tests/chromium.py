"""A headless Chromium that tests talk to through pipes (its DevTools protocol), so that no further package is needed."""

import base64
import json
import os
import shutil
import subprocess
import time

import cv2
import numpy as np
import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium():
    """Its path; the test is skipped, with the reason, where there is none."""
    named = os.environ.get("CHROMIUM")
    found = named or next((path for path in map(shutil.which, NAMES) if path), None)
    if not found:
        pytest.skip("no Chromium here (Debian: apt install chromium; or set CHROMIUM to its path)")
    return found


class Chromium:
    """One page. Commands go in through file descriptor 3, answers come out of 4, each ended by a zero byte."""

    def __init__(self, profile, *, size=(800, 440)):
        self.size, self.count, self.events, self.session, self.rest = size, 0, [], None, b""
        to_read, self.to_write = os.pipe()
        self.to_hear, to_say = os.pipe()

        def place():  # in the child: the descriptors where Chromium looks for them
            os.dup2(to_read, 3)
            os.dup2(to_say, 4)

        flags = ["--headless=new", "--no-sandbox", "--remote-debugging-pipe", "--disable-gpu", "--use-angle=swiftshader"]
        flags += ["--enable-unsafe-swiftshader", "--no-first-run", "--disable-extensions", "--disable-dev-shm-usage"]
        flags += ["--disable-background-networking"]
        flags += [f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}", "about:blank"]
        self.process = subprocess.Popen(
            [find_chromium(), *flags], preexec_fn=place, pass_fds=(3, 4), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(to_read)
        os.close(to_say)

    def __enter__(self):
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self.session = attached["sessionId"]
        width, height = self.size
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.to_write)
        os.close(self.to_hear)

    def call(self, method, **params):
        self.count += 1
        message = {"id": self.count, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to_write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self.count:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self.events.append(answer)

    def _next(self):
        while b"\0" not in self.rest:
            part = os.read(self.to_hear, 1 << 20)
            assert part, "Chromium has gone"
            self.rest += part
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    def run(self, expression):
        """The value of a JavaScript expression."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def until(self, expression, *, seconds=120):
        """Wait for an expression to be true."""
        end = time.monotonic() + seconds
        while not self.run(expression):
            assert time.monotonic() < end, f"{expression} does not come true"
            time.sleep(0.05)

    def open(self, url):
        self.call("Page.navigate", url=url)

    def click(self, selector):
        """A real click in the middle of an element."""
        x, y = self.middle(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def middle(self, selector):
        return self.run(
            f"(r => [r.left + r.width / 2, r.top + r.height / 2])(document.querySelector({selector!r}).getBoundingClientRect())"
        )

    def drag(self, selector, by):
        x, y = self.middle(selector)
        mouse = {"button": "left", "buttons": 1}
        self.call("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, clickCount=1, **mouse)
        for share in (0.5, 1):
            self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x + share * by[0], y=y + share * by[1], **mouse)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", x=x + by[0], y=y + by[1], clickCount=1, button="left")

    def wheel(self, selector, by):
        x, y = self.middle(selector)
        self.call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=by)

    def key(self, key, *, code=None, shift=False):
        text = {"text": key} if len(key) == 1 else {}
        common = {"key": key, "code": code or key, "modifiers": 8 if shift else 0}
        self.call("Input.dispatchKeyEvent", type="keyDown", **common, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def screenshot(self):
        """What is on the screen, RGB."""
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)

    def requested(self):
        """Addresses that the page asked for."""
        asked = [
            event["params"]["request"]["url"] for event in self.events if event.get("method") == "Network.requestWillBeSent"
        ]
        return [url for url in asked if not url.startswith(("data:", "blob:", "about:"))]

    def complaints(self):
        """Errors of scripts and of the page's own rules."""
        thrown = [event for event in self.events if event.get("method") == "Runtime.exceptionThrown"]
        logged = [event for event in self.events if event.get("method") == "Log.entryAdded"]
        return thrown + [event for event in logged if event["params"]["entry"]["level"] == "error"]
