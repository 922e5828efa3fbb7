"""A report in a browser: what holds of any is in Page.look(), and how one asks
it. SHOTS, if it is set, is where pictures of pages go, to be looked at."""

import json
import os
import tempfile
import unittest

import chromium

SHOTS = None
PARTS = ["summary", "timeline", "steps", "pictures", "fired", "events",
         "processes"]

# Of each text its contrast with what is behind it; those below 4.5.
CONTRAST = """(() => {
  const lum = c => {
    const f = v => (v /= 255) <= .03928 ? v / 12.92
                                        : ((v + .055) / 1.055) ** 2.4;
    return .2126 * f(c[0]) + .7152 * f(c[1]) + .0722 * f(c[2]);
  };
  const rgba = t => (t.match(/[\\d.]+/g) || []).map(Number);
  const behind = e => {
    for (; e; e = e.parentElement) {
      const c = rgba(getComputedStyle(e).backgroundColor);
      if (c.length == 3 || c[3] == 1) return c;
      if (c[3] > 0) return null;
    }
    return [255, 255, 255];
  };
  const bad = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n; (n = walk.nextNode()) && bad.length < 20;) {
    const e = n.parentElement;
    if (!n.data.trim() || !e.checkVisibility() ||
        ['STYLE', 'title'].includes(e.tagName)) continue;
    const s = getComputedStyle(e), back = behind(e);
    const a = lum(rgba(e.closest('svg') ? s.fill : s.color)),
          b = back ? lum(back) : 0;
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) bad.push([n.data.trim().slice(0, 40), e.className,
                               ratio.toFixed(2)]);
  }
  return bad;
})()"""


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory(prefix="vub-report-")
        cls.browser = chromium.Chromium()
        cls.page = cls.browser.page()

    @classmethod
    def tearDownClass(cls):
        cls.browser.__exit__()
        cls.dir.cleanup()

    def look(self, path, scheme="light"):
        """Opens it; what holds of any is looked at."""
        self.path = path
        self.page.mode(scheme)
        self.page.go(path)
        self.sound()

    def run_js(self, script):
        return self.page.run(script)

    def texts(self, selector):
        return self.run_js("[...document.querySelectorAll("
                           f"{json.dumps(selector)})].map(e => "
                           "e.textContent.trim())")

    def count(self, selector):
        return self.run_js("document.querySelectorAll("
                           f"{json.dumps(selector)}).length")

    def sound(self):
        """Parts, ids, links, names for who cannot see; and nobody is asked."""
        own = chromium.url_of(self.path)
        strange = [url[:80] for url in self.page.asked()
                   if url != own and not url.startswith("data:image/png;")]
        self.assertEqual(strange, [])
        self.assertEqual(self.page.complaints(), [])
        for part in PARTS:
            self.assertEqual(self.count("#" + part), 1, part)
        self.assertEqual(self.run_js(
            "[...document.querySelectorAll('[id]')].length - "
            "new Set([...document.querySelectorAll('[id]')]"
            ".map(e => e.id)).size"), 0)
        self.assertEqual(self.run_js(
            "[...document.querySelectorAll('a')].map(a => "
            "a.getAttribute('href')).filter(h => !h.startsWith('./') && "
            "!document.getElementById(h.slice(1)))"), [])
        self.assertEqual(self.run_js(
            "[...document.querySelectorAll('section')].filter(s => "
            "!document.getElementById(s.getAttribute('aria-labelledby')))"
            ".length"), 0)
        self.assertEqual(self.count("img:not([alt])") +
                         self.count("img[alt='']"), 0)
        self.assertEqual(self.count("h1"), 1)
        self.assertEqual(self.run_js("document.documentElement.lang"), "en")
        self.assertEqual(self.count("script, iframe, object, embed, link, "
                                    "form, base, video, audio"), 0)
        # It fits: only what says so scrolls sideways.
        self.assertLessEqual(self.run_js(
            "document.documentElement.scrollWidth - innerWidth"), 0)

    def shoot(self, name):
        if SHOTS:
            os.makedirs(SHOTS, exist_ok=True)
            self.page.picture(os.path.join(SHOTS, name + ".png"))
