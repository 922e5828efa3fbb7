"""A headless Chromium, driven over two pipes (--remote-debugging-pipe): JSON
messages of the DevTools protocol that end in a NUL. Nothing but Python is
needed for that, and no port is open.

    chromium.py PAGE PNG [light|dark|print] [WIDTH [SELECTOR]]

takes a picture of a page, to look at; of one element: its SELECTOR."""

import base64
import fcntl
import json
import os
import pathlib
import select
import subprocess
import sys
import tempfile
import time

TIMEOUT = 120
BINARY = os.environ.get("CHROMIUM", "chromium")
OPTIONS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--mute-audio",
    "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-extensions", "--no-default-browser-check",
    # What it may want of its own accord is not found.
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--remote-debugging-pipe", "about:blank",
]


class Failed(Exception):
    pass


def url_of(path):
    return pathlib.Path(path).absolute().as_uri()


def _high(fd):
    """The same beyond those that the browser has by number."""
    high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64)
    os.close(fd)
    return high


class Chromium:
    """with Chromium() as c: page = c.page(); page.go(path); ..."""

    def __init__(self):
        self.dir = tempfile.TemporaryDirectory(prefix="vub-chromium-",
                                               ignore_cleanup_errors=True)
        to_read, self.out = map(_high, os.pipe())
        self.into, to_write = map(_high, os.pipe())

        def place():
            os.dup2(to_read, 3)
            os.dup2(to_write, 4)

        env = dict(os.environ, HOME=self.dir.name)
        self.log = open(os.path.join(self.dir.name, "log"), "wb")
        self.process = subprocess.Popen(
            [BINARY, f"--user-data-dir={self.dir.name}/profile", *OPTIONS],
            preexec_fn=place, pass_fds=(3, 4), env=env,
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        os.close(to_read)
        os.close(to_write)
        self.buffer = b""
        self.number = 0
        self.events = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.call("Browser.close")
            self.process.wait(TIMEOUT)
        except (Failed, OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        os.close(self.out)
        os.close(self.into)
        self.log.close()
        self.dir.cleanup()

    def _receive(self, deadline):
        while b"\0" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.into], [], [], left)[0]:
                raise Failed("the browser does not answer")
            more = os.read(self.into, 1 << 20)
            if not more:
                self.log.flush()
                with open(self.log.name, "rb") as f:
                    raise Failed("the browser has gone:\n" +
                                 f.read().decode(errors="replace"))
            self.buffer += more
        line, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(line)

    def call(self, method, session=None, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.out, data):]
        deadline = time.monotonic() + TIMEOUT
        while True:
            answer = self._receive(deadline)
            if "id" not in answer:
                self.events.append(answer)
            elif answer["id"] == self.number:
                if "error" in answer:
                    raise Failed(f"{method}: {answer['error']}")
                return answer["result"]

    def wait(self, event, session):
        """The params of that event; it may have come already."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            for i, seen in enumerate(self.events):
                if (seen["method"] == event and
                        seen.get("sessionId") == session):
                    del self.events[i]
                    return seen["params"]
            self.events.append(self._receive(deadline))

    def page(self, width=1280, height=900):
        return Page(self, width, height)


class Page:
    def __init__(self, browser, width, height):
        self.browser = browser
        target = browser.call("Target.createTarget", url="about:blank")
        self.session = browser.call("Target.attachToTarget", flatten=True,
                                    targetId=target["targetId"])["sessionId"]
        for domain in "Page", "Network", "Runtime", "Log":
            self.call(domain + ".enable")
        self.resize(width, height)

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def resize(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width,
                  height=height, deviceScaleFactor=1, mobile=False)

    def mode(self, scheme, media=""):
        """scheme: light or dark; media: print."""
        self.call("Emulation.setEmulatedMedia", media=media, features=[
            {"name": "prefers-color-scheme", "value": scheme}])

    def go(self, path):
        """Opens a file, and waits until all of it is there."""
        self.browser.events.clear()
        answer = self.call("Page.navigate", url=url_of(path))
        if answer.get("errorText"):
            raise Failed(answer["errorText"])
        self.browser.wait("Page.loadEventFired", self.session)

    def run(self, script):
        """The value of an expression, in the page's own world."""
        answer = self.call("Runtime.evaluate", expression=script,
                           returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise Failed(json.dumps(answer["exceptionDetails"], indent=1))
        return answer["result"].get("value")

    def asked(self):
        """URLs of all that the page has asked for since go()."""
        self.run("0")  # what was sent before has come
        return [e["params"]["request"]["url"] for e in self.browser.events
                if e["method"] == "Network.requestWillBeSent"]

    def complaints(self):
        """What the browser's console has of the page."""
        self.run("0")
        return [e["params"] for e in self.browser.events
                if e["method"] in ("Log.entryAdded",
                                   "Runtime.exceptionThrown",
                                   "Runtime.consoleAPICalled",
                                   "Page.javascriptDialogOpening")]

    def click(self, x, y):
        for kind in "mousePressed", "mouseReleased":
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y,
                      button="left", clickCount=1)

    def picture(self, path, whole=True, selector=None):
        params = {"captureBeyondViewport": whole}
        if selector:
            clip = self.run("(() => { const b = document.querySelector("
                            f"{json.dumps(selector)}).getBoundingClientRect();"
                            "return {x: b.x, y: b.y + scrollY, width: b.width,"
                            " height: Math.min(b.height, 4000), scale: 1}})()")
            params["clip"] = clip
        elif whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            params["clip"] = {"x": 0, "y": 0, "width": size["width"],
                              "height": min(size["height"], 4000), "scale": 1}
        data = self.call("Page.captureScreenshot", **params)["data"]
        with open(path, "wb") as f:
            f.write(base64.b64decode(data))


def main():
    page, png = sys.argv[1:3]
    scheme = sys.argv[3] if len(sys.argv) > 3 else "light"
    width = int(sys.argv[4]) if len(sys.argv) > 4 else 1280
    with Chromium() as c:
        p = c.page(width)
        p.mode("dark" if scheme == "dark" else "light",
               "print" if scheme == "print" else "")
        p.go(page)
        p.picture(png, selector=sys.argv[5] if len(sys.argv) > 5 else None)


if __name__ == "__main__":
    main()
