#!/usr/bin/env python3
"""page.py MADE DIR: the HTML report as a browser has it, which is what counts.

MADE writes reports of records that are made up; a headless Chromium opens
them, and its DOM is looked at: steps with their verdicts, pictures that have
really loaded, bars of the timeline, what a click does, what can be read in
light and dark. Nothing may be asked of a network, and no text of a stranger
may become more than text. Pictures of the pages go to DIR, to be looked at."""

import os
import re
import subprocess
import sys
import unittest
from html.parser import HTMLParser

import pages
from pages import CONTRAST

MADE = sys.argv.pop(1)
pages.SHOTS = sys.argv.pop(1)
VOID = {"meta", "img", "br", "link", "hr", "input"}
TAGS = set("""html head meta title style body main header nav section footer
    h1 h2 p a b br span code pre div dl dt dd ol ul li details summary table
    thead tbody tr th td figure figcaption img svg g line rect text title
    clipPath""".split())

class Balance(HTMLParser):
    """What a browser mends in silence: tags that do not fit together."""

    def __init__(self):
        super().__init__()
        self.open, self.faults, self.ids = [], [], []

    def handle_starttag(self, tag, attrs):
        self.ids += [v for k, v in attrs if k == "id"]
        if len({k for k, _ in attrs}) != len(attrs):
            self.faults.append(f"an attribute twice: {tag} {attrs}")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.ids += [v for k, v in attrs if k == "id"]

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> at {self.getpos()}")


class Report(pages.Page):
    def open(self, kind, scheme="light"):
        where = os.path.join(self.dir.name, kind)
        path = os.path.join(where, "report.html")
        if not os.path.exists(path):
            subprocess.run([MADE, kind, where], check=True)
        self.look(path, scheme)

    # ---- what is in it ----

    def test_a_scenario_that_passed(self):
        self.open("passed")
        self.assertEqual(self.run_js("document.title"), "passed: boot test")
        self.assertEqual(self.run_js(
            "document.getElementById('summary').dataset.verdict"), "passed")
        self.assertEqual(self.texts("#summary h1"), ["boot test"])
        summary = self.run_js("document.getElementById('summary').innerText")
        for text in ("11.08 s", "9 passed", "2026-11-30T08:15:00Z",
                     "config/rigs/boot-test.json", "0.1.0"):
            self.assertIn(text, summary)
        self.assertEqual(self.texts("#steps .name"), [
            "run vm", "the disk is used", "the login is there", "log in",
            "fault.arm disk bad", "read the disk", "screenshot",
            "the rule has fired", "shut down"])
        self.assertEqual(self.run_js(
            "[...document.querySelectorAll('#steps .step')].map(e => "
            "e.dataset.result + ' ' + e.querySelector('.badge').textContent)"),
            ["passed passed"] * 9)
        self.assertEqual(self.count("#steps details[open]"), 0)
        self.assertEqual(self.texts("#step-4 .took"), ["212 ms"])
        self.assertIn('"text": "root\\n"',
                      self.texts("#step-4 pre")[0])

    def test_pictures_have_really_loaded(self):
        self.open("passed")
        self.assertEqual(self.run_js(
            "[...document.querySelectorAll('#pictures img')].map(i => "
            "[i.complete, i.naturalWidth, i.naturalHeight])"),
            [[True, 1024, 768], [True, 1024, 768], [True, 640, 480],
             [True, 320, 64]])
        self.assertIn("screen, scanout 0, at step 3: the login is there",
                      self.run_js("document.getElementById('image-1').alt"))
        self.assertIn("1024 × 768", self.texts("#picture-1 figcaption")[0])
        self.assertEqual(len(self.texts("#picture-1 code")[0]), 32)

    def test_a_click_shows_a_picture_as_large_as_it_is(self):
        self.open("passed")
        size = ("(() => { const b = document.getElementById('image-1')"
                ".getBoundingClientRect(); return [b.width, b.height, b.x + "
                "b.width / 2, b.y + b.height / 2]})()")
        self.run_js("document.getElementById('picture-1').scrollIntoView("
                    "{block: 'center'})")
        before = self.run_js(size)
        self.assertLess(before[0], 400)
        self.assertAlmostEqual(before[0] / before[1], 1024 / 768, delta=.02)
        self.page.click(*before[2:])
        after = self.run_js(size)
        self.assertEqual(after[:2], [1024, 768])
        self.page.click(*after[2:])
        self.assertEqual(self.run_js(size)[:2], before[:2])

    def test_the_failed_step_is_open_and_found(self):
        self.open("failed")
        self.assertEqual(self.run_js("document.title"), "failed: boot test")
        self.assertEqual(self.run_js(
            "[...document.querySelectorAll('#steps .step')].map(e => "
            "e.dataset.result)"),
            ["passed"] * 6 + ["failed"] + ["not-run"] * 2)
        self.assertEqual(self.run_js(
            "[...document.querySelectorAll('#steps .step > details[open]')]"
            ".map(e => e.parentElement.id)"), ["step-7"])
        why = ("it has not looked like error.png in 10000 ms: 41211 of 786432 "
               "pixels differ by more than 8")
        self.assertEqual(self.texts("#summary .why"), [why])
        self.assertEqual(self.texts("#step-7 .why"), [why])
        self.assertTrue(self.run_js(
            "document.querySelector('#step-7 .why').checkVisibility()"))
        self.assertEqual(self.run_js(
            "document.querySelector('#summary .where a').hash"), "#step-7")
        # Its pictures are the first.
        self.assertEqual(self.run_js(
            "[...document.querySelectorAll('#pictures figure')].map(f => "
            "f.className)"), ["failed", "failed", ""])

    def test_what_filters_events_and_processes_say(self):
        self.open("failed")
        self.assertEqual(self.run_js(
            "[...document.querySelector('#fired tbody tr').cells].slice(0, 5)"
            ".map(c => c.textContent)"), ["disk", "fault", "bad", "9", "5"])
        self.assertEqual(self.count("#fired tbody tr"), 4)
        self.assertEqual(self.run_js(  # it has nothing that it counts
            "[...document.querySelectorAll('#fired tbody tr')[3].cells]"
            ".slice(0, 5).map(c => c.textContent)"),
            ["disk", "cow", "all of it", "", ""])
        self.assertEqual(self.count("#events tbody tr"), 9)
        self.assertIn("fault.fired 5", self.texts("#events .chips li"))
        self.assertEqual(self.texts("#processes .process .name"),
                         ["vm", "probe"])
        output = self.texts("#processes pre.output")[0]
        self.assertIn("rig:~# dd if=/dev/vda of=/dev/null bs=1M\n", output)
        self.assertNotIn("[1;32m", output)  # colors of a console
        self.assertNotIn("root@rig: ~", output)  # its title
        self.assertEqual(self.run_js(
            "document.querySelector('#processes a').getAttribute('href')"),
            "./vm.log")

    # ---- the timeline ----

    def test_the_timeline_has_a_bar_for_each_step(self):
        for kind, bars in (("passed", 9), ("failed", 7), ("turns", 302),
                           ("nested", 9), ("many", 2000), ("error", 1),
                           ("empty", 0)):
            self.open(kind)
            self.assertEqual(self.count("#timeline .bar"), bars, kind)
            self.assertEqual(self.run_js(
                "[...document.querySelectorAll('#timeline .bar')].filter(b => "
                "{ const r = b.getBBox(), v = b.ownerSVGElement.viewBox"
                ".baseVal; return !(r.width > 0 && r.x >= 200 && r.x + "
                "r.width <= v.width && r.y >= 0 && r.y + r.height <= "
                "v.height)}).length"), 0, kind)

    def test_bars_lie_where_their_time_is(self):
        self.open("failed")
        at = self.run_js("[...document.querySelectorAll('#timeline .bar')]"
                         ".map(b => [b.getBBox().x, b.getBBox().width])")
        for (x, width), (after, _) in zip(at, at[1:]):
            self.assertLessEqual(x + width - 1.5, after + .1)
        self.assertGreater(at[6][1], 2.5 * at[1][1])  # 10 s, and 1.84 s
        self.assertEqual(self.count("#timeline .bar.failed"), 1)
        self.assertEqual(self.count("#timeline .fault"), 1)
        self.assertEqual(self.count("#timeline .process"), 2)
        self.assertEqual(self.count("#timeline .mark"), 8)  # two are one
        self.assertIn("15 s", self.texts("#timeline .axis text"))

    def test_a_bar_leads_to_its_step(self):
        self.open("turns")
        self.assertFalse(self.run_js(
            "document.querySelector('#step-100 .name').checkVisibility()"))
        self.run_js("document.querySelector('#timeline a[href=\"#step-100\"] "
                    "rect').dispatchEvent(new MouseEvent('click', "
                    "{bubbles: true}))")
        self.assertTrue(self.run_js("new Promise(r => setTimeout(() => r("
                                    "document.querySelector('#step-100 .name')"
                                    ".checkVisibility()), 0))"))

    # ---- many ----

    def test_turns_are_one_line_until_they_are_opened(self):
        self.open("turns")
        self.assertEqual(self.run_js(
            "[...document.querySelectorAll('#steps > ol > li > details > "
            "summary .name')].map(e => e.textContent)"),
            ["run vm", "Repeat: 50 turns, steps 2 to 301", "stop vm"])
        self.assertEqual(self.count("#steps .turn"), 50)
        self.assertEqual(self.count("#steps .step"), 302)
        self.assertEqual(self.run_js(
            "[...document.querySelectorAll('#steps table.times tbody tr')]"
            "[3].textContent.includes('the file system50')"), True)
        self.run_js("document.querySelectorAll('#steps .repeat > details, "
                    "#steps .turn:first-child > details').forEach(d => "
                    "d.open = true)")
        self.shoot("turns-open")

    def test_a_turn_that_failed_is_open(self):
        self.open("nested")
        self.assertEqual(self.run_js(
            "[...document.querySelectorAll('#steps details[open] > summary "
            "> .name')].map(e => e.textContent)"),
            ["Repeat: 2 turns, steps 1 to 10", "Turn 2 of 3",
             "Repeat: 1 turn, steps 8 to 9", "Turn 1 of 2", "see"])
        self.assertTrue(self.run_js(
            "document.querySelector('#step-9 .why').checkVisibility()"))
        turns = "#steps > ol > li > details > .body > ol > .turn > details"
        self.assertEqual(self.texts(turns + " > summary .name"),
                         ["Turn 1 of 3", "Turn 2 of 3"])
        self.assertEqual(self.texts(turns + " > ol > li > details > summary "
                                            ".name"),
                         ["start", "Repeat: 2 turns, steps 2 to 5", "stop",
                          "start", "Repeat: 1 turn, steps 8 to 9", "stop"])
        self.assertEqual(self.texts("#summary .where"),
                         ["Step 9, see, turn 1 of 2"])
        self.shoot("nested")

    def test_the_same_picture_is_there_once(self):
        self.open("turns")
        self.assertEqual(self.count("#pictures img"), 2)
        self.assertIn("taken 48 times", self.texts("#pictures figcaption")[0])

    def test_thousands_of_steps_can_be_looked_at(self):
        self.open("many")
        self.assertEqual(self.count("#steps .step"), 2000)
        self.assertEqual(self.count("#steps > ol > li"), 20)
        self.assertLess(os.path.getsize(self.path), 3 << 20)

    def test_what_is_vast_is_bounded_and_says_so(self):
        self.open("vast")
        self.assertLess(os.path.getsize(self.path), 40 << 20)
        self.assertLess(self.count("*"), 120000)
        self.assertLessEqual(self.count("#timeline .bar"), 4000)
        self.assertLessEqual(self.count("#steps .step"), 3101)
        self.assertTrue(self.run_js(
            "document.querySelector('#step-20001 > details').open"))
        left = self.texts(".gap") + self.texts(".note")
        for text in ("17000 steps are left out here",
                     "events before these were not kept",
                     "events are left out here", "100 more are left out"):
            self.assertTrue(any(text in t for t in left), (text, left[:9]))

    # ---- strangers ----

    def test_text_of_strangers_is_text(self):
        self.open("hostile")
        self.assertEqual(self.run_js("document.title").split(":")[0], "failed")
        tags = self.run_js("[...new Set([...document.querySelectorAll('*')]"
                           ".map(e => e.localName))]")
        self.assertEqual(set(tags) - TAGS, set())
        self.assertEqual(self.count("img"), 0)
        self.assertEqual(self.run_js(
            "[...document.querySelectorAll('*')].filter(e => "
            "[...e.attributes].some(a => a.name.startsWith('on') || "
            "a.value.startsWith('javascript:'))).length"), 0)
        name = self.texts("#summary h1")[0]
        self.assertTrue(name.startswith("<script>document.title='evil'"
                                        "</script>\"'><img src=x"), name)
        self.assertIn("&amp; &#x3c;", name)
        self.assertIn("\u2401\u2408\u2421", name)  # controls can be seen
        self.assertIn(" red ", name)
        for gone in "\x01\x1b\x9b\u202e":
            self.assertNotIn(gone, name)
        self.assertEqual(self.texts("#step-2 pre")[1],
                         "[    0.1] no JSON, but it begins so")
        self.shoot("hostile")

    def test_what_went_wrong_outside_of_steps_is_said(self):
        self.open("error")
        self.assertEqual(self.texts("#summary .why"),
                         ["vub has gone: its control socket was closed"])
        self.open("empty")
        self.assertEqual(self.run_js("document.title"), "failed:")

    def test_tags_fit_together(self):
        for kind in ("passed", "failed", "turns", "hostile", "error", "empty",
                     "vast"):
            self.open(kind)
            with open(self.path, encoding="utf-8", newline="") as f:
                text = f.read()
            parser = Balance()
            parser.feed(text)
            parser.close()
            self.assertEqual((parser.faults[:3], parser.open), ([], []), kind)
            self.assertEqual(re.findall("[\0-\x08\x0b-\x1f\x7f-\x9f]", text),
                             [])

    # ---- eyes ----

    def test_all_of_it_can_be_read_in_light_and_dark(self):
        for kind in "passed", "failed", "turns", "error":
            for scheme in "light", "dark":
                self.open(kind, scheme)
                self.run_js("document.querySelectorAll('details:not(.shot)')"
                            ".forEach(d => d.open = true)")
                self.assertEqual(self.run_js(CONTRAST), [], (kind, scheme))
                self.page.go(self.path)
                self.shoot(f"{kind}-{scheme}")

    def test_the_style_is_understood(self):
        self.open("failed")
        style = self.texts("style")[0]
        for line in style.split("\n"):
            self.assertEqual(line.count('"') % 2, 0, line)
        self.assertEqual(self.run_js("document.styleSheets[0].cssRules.length"),
                         len(re.findall(r"^\S.*\{", style, re.M)))
        self.assertEqual(self.run_js("getComputedStyle(document.querySelector("
                                     "'#timeline svg')).fontSize"), "11.5px")

    def test_it_fits_a_telephone(self):
        self.page.resize(390, 800)
        try:
            for kind in "failed", "turns":
                self.open(kind)
                self.shoot(kind + "-small")
        finally:
            self.page.resize(1280, 900)

    def test_it_prints(self):
        self.open("failed", "dark")
        pdf = self.page.call("Page.printToPDF")["data"]
        self.assertGreater(len(pdf), 10000)
        self.page.mode("dark", "print")
        self.assertEqual(self.run_js(
            "getComputedStyle(document.body).backgroundColor"),
            "rgb(255, 255, 255)")
        self.assertEqual(self.run_js(CONTRAST), [])
        self.shoot("failed-print")


if __name__ == "__main__":
    unittest.main(verbosity=1)
