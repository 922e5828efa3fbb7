#!/usr/bin/env python3
"""real.py VUB GUEST DIR: scenarios that vub really runs, with a guest that
draws and reads (guest.c), and what their reports say. Pictures of the pages go
to DIR, to be looked at."""

import json
import os
import pty
import subprocess
import sys
import unittest

import junit
import pages

VUB, GUEST = os.path.abspath(sys.argv.pop(1)), os.path.abspath(sys.argv.pop(1))
pages.SHOTS = sys.argv.pop(1)

CONFIG = {
    "runtime_dir": ".",
    "control": {"socket": "control.sock"},
    "devices": [
        {"id": "disk", "type": "block", "store": {
            "type": "fault", "name": "bad disk", "rules": [
                {"name": "bad", "op": "read", "armed": False,
                 "outcome": "error"}],
            "next": {"type": "memory", "size": "1M"}}},
        {"id": "screen", "type": "gpu", "display": "headless"},
    ],
}


def steps(last):
    """A guest is there, draws, meets an error, draws three times; then last."""
    return [
        {"run": {"process": "vm", "command": "exec " + GUEST,
                 "background": True}, "name": "start the <guest>"},
        {"wait": {"device": "disk", "until": "running"}},
        {"wait.output": {"process": "vm", "text": "ready"}},
        {"write": {"process": "vm", "text": "read 7\n"}},
        {"wait.output": {"process": "vm", "text": "read 7: 0"}},
        {"fault.arm": {"device": "disk", "rule": "bad"}},
        {"write": {"process": "vm", "text": "read 8\n"}},
        {"wait.event": {"event": "fault.fired", "device": "disk"}},
        {"wait.output": {"process": "vm", "text": "read 8: 1"}},
        {"write": {"process": "vm", "text": "draw 0\n"}},
        {"wait.output": {"process": "vm", "text": "drawn 0"}},
        {"screenshot": {"device": "screen"}, "name": "before"},
        {"write": {"process": "vm", "text": "draw 3\n"}},
        {"wait.output": {"process": "vm", "text": "drawn 3"}},
        {"repeat": {"times": 3, "steps": [
            {"screenshot": {"device": "screen"}, "name": "again"},
            {"expect": {"of": "stats", "device": "disk",
                        "at": "/block/filters/0/rules/0/fired", "is": 1}}]}},
        *last,
    ]


class Real(pages.Page):
    def scenario(self, name, last):
        where = os.path.join(self.dir.name, name)
        os.mkdir(where)
        for file, what in (("rig.json", CONFIG), ("scenario.json", {
                "name": name, "timeout_ms": 30000, "steps": steps(last)})):
            with open(os.path.join(where, file), "w", encoding="utf-8") as f:
                json.dump(what, f)
        done = subprocess.run(
            [VUB, "--config", "rig.json", "--scenario", "scenario.json",
             "--report", "report"], cwd=where, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=120)
        self.out = done.stdout
        self.where = os.path.join(where, "report")
        self.status = done.returncode

    def on_terminal(self, name):
        """The same scenario again, by itself: what a terminal has of it, line
        by line: all that was written there, the last of it."""
        ours, theirs = pty.openpty()
        with subprocess.Popen(
                [VUB, "--config", "rig.json", "--scenario", "scenario.json"],
                cwd=os.path.join(self.dir.name, name), stdout=theirs,
                stderr=subprocess.DEVNULL,
                env=dict(os.environ, TERM="xterm", NO_COLOR="1")):
            os.close(theirs)
            text = b""
            try:
                while more := os.read(ours, 65536):
                    text += more
            except OSError:  # nobody has it any more
                pass
        os.close(ours)
        return [line.split("\r\033[K")
                for line in text.decode().split("\r\n")]

    def results(self):
        return self.run_js("[...document.querySelectorAll('#steps .step')]"
                           ".map(e => e.dataset.result)")

    def test_a_scenario_that_passes(self):
        self.scenario("it passes", [
            {"write": {"process": "vm", "text": "end\n"}},
            {"wait.exit": {"process": "vm", "status": 0}}])
        self.assertEqual(self.status, 0, self.out)
        self.assertIn("passed: it passes, 22 of 22 steps", self.out)
        self.look(os.path.join(self.where, "report.html"))
        self.shoot("real-passed")
        self.assertEqual(self.run_js("document.title"), "passed: it passes")
        self.assertEqual(self.results(), ["passed"] * 22)
        self.assertEqual(self.texts("#step-1 .name"), ["start the <guest>"])
        self.assertEqual(self.count("#timeline .bar"), 22)
        self.assertEqual(self.count("#steps .turn"), 3)
        # The picture that was taken three times is there once.
        self.assertEqual(self.run_js(
            "[...document.querySelectorAll('#pictures img')].map(i => "
            "[i.complete, i.naturalWidth, i.naturalHeight])"),
            [[True, 320, 200]] * 2)
        self.assertIn("taken 3 times", self.texts("#picture-2 figcaption")[0])
        self.assertEqual(self.run_js(
            "[...document.querySelectorAll('#fired tr.fired')].map(r => "
            "[...r.cells].slice(0, 5).map(c => c.textContent))")[-1],
            ["disk", "fault, bad disk", "bad", "1", "1"])
        self.assertIn("fault.fired 1", self.texts("#events .chips li"))
        output = self.texts("#processes pre.output")[0]
        self.assertTrue(output.startswith("ready\nread 7: 0\n"), output)
        self.assertEqual(self.run_js(
            "document.querySelector('#processes a').getAttribute('href')"),
            "./vm.log")
        self.assertTrue(os.path.exists(os.path.join(self.where, "vm.log")))
        cases = junit.read(os.path.join(self.where, "junit.xml"))
        self.assertEqual([c[1] for c in cases], ["passed"] * 22)

    def test_a_terminal_has_a_line_for_each_step(self):
        self.scenario("on a terminal", [])
        lines = self.on_terminal("on a terminal")
        self.assertEqual(lines[0][1], "[ 1/20] start the <guest> ...")
        self.assertRegex(lines[0][2],
                         r"\[ 1/20\] passed  start the <guest>  \d+ [um]s")
        self.assertEqual(len(lines), 22)
        self.assertRegex(lines[19][-1], r"\[20/20\] passed  .* \(3 of 3\)  ")
        self.assertRegex(lines[20][-1],
                         "^passed: on a terminal, 20 of 20 steps in ")

    def test_a_scenario_that_fails(self):
        self.scenario("it fails", [
            {"wait.output": {"process": "vm", "text": "never"},
             "timeout_ms": 200, "name": "what never comes"},
            {"stop": {"process": "vm"}}])
        self.assertEqual(self.status, 1, self.out)
        self.assertIn("FAILED: it fails, 21 of", self.out)
        self.look(os.path.join(self.where, "report.html"))
        self.shoot("real-failed")
        self.assertEqual(self.results(),
                         ["passed"] * 20 + ["failed", "not-run"])
        self.assertTrue(self.run_js(
            "document.querySelector('#step-21 .why').checkVisibility()"))
        self.assertIn("200 ms", self.texts("#summary .why")[0])
        # What the screen showed then was seen before, and is the first now.
        self.assertEqual(self.run_js(
            "[...document.querySelectorAll('#pictures figure')].map(f => "
            "f.className + f.id)"), ["failedpicture-2", "picture-1"])
        self.assertEqual(self.texts("#processes .badge"), ["stopped"])
        cases = junit.read(os.path.join(self.where, "junit.xml"))
        self.assertEqual([c[1] for c in cases],
                         ["passed"] * 20 + ["failure", "skipped"])
        self.assertEqual(cases[20][0], "21 what never comes")


if __name__ == "__main__":
    unittest.main()
