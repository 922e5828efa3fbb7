#!/usr/bin/env python3
"""junit.py MADE: the JUnit file as those read it for whom it is made. An XML
parser must take it, and it must be what the schemas that are published agree
on: junit-10.xsd of Jenkins' xUnit plugin, and what GitLab says that it reads.

In other scripts: junit.read(path), which checks all that, and returns the cases
as (name, result, message, type)."""

import os
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as tree

# Of each element: attributes that it must have, and may; children.
RULES = {
    "testsuites": ([], ["name", "time", "tests", "failures", "errors"],
                   ["testsuite"]),
    "testsuite": (["name", "tests", "failures", "errors"],
                  ["time", "skipped", "timestamp"],
                  ["properties", "testcase", "system-out"]),
    "properties": ([], [], ["property"]),
    "property": (["name", "value"], [], []),
    "testcase": (["name", "classname", "time"], [],
                 ["skipped", "error", "failure", "system-out"]),
    "failure": (["message", "type"], [], []),
    "error": (["message", "type"], [], []),
    "skipped": (["message"], [], []),
    "system-out": ([], [], []),
}
TIME = re.compile(r"[0-9]+\.[0-9]+|0")


def _check(element):
    must, may, children = RULES[element.tag]
    assert set(must) <= set(element.attrib), element.attrib
    assert set(element.attrib) <= set(must + may), element.attrib
    assert "time" not in element.attrib or TIME.fullmatch(element.get("time"))
    order = [children.index(child.tag) for child in element]
    assert order == sorted(order), order
    for child in element:
        _check(child)


def read(path):
    root = tree.parse(path).getroot()
    assert root.tag == "testsuites"
    _check(root)
    (suite,) = root
    cases, names = [], set()
    counts = {"passed": 0, "failure": 0, "error": 0, "skipped": 0}
    for case in suite.iter("testcase"):
        what = [c for c in case if c.tag != "system-out"]
        assert len(what) <= 1
        result = what[0].tag if what else "passed"
        counts[result] += 1
        name = case.get("classname"), case.get("name")
        assert name not in names, name
        names.add(name)
        cases.append((case.get("name"), result,
                      what[0].get("message") if what else None,
                      what[0].get("type") if what else None))
    for element in root, suite:
        assert int(element.get("tests")) == len(cases)
        assert int(element.get("failures")) == counts["failure"]
        assert int(element.get("errors")) == counts["error"]
    assert int(suite.get("skipped")) == counts["skipped"]
    if "timestamp" in suite.attrib:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d",
                            suite.get("timestamp"))
    return cases


class Junit(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory(prefix="vub-junit-")
        self.addCleanup(self.dir.cleanup)

    def make(self, kind):
        subprocess.run([MADE, kind, self.dir.name], check=True)
        self.path = os.path.join(self.dir.name, "junit.xml")
        return read(self.path)

    def test_each_step_is_a_case(self):
        cases = self.make("passed")
        self.assertEqual([c[:2] for c in cases[:4]], [
            ("1 run vm", "passed"), ("2 the disk is used", "passed"),
            ("3 the login is there", "passed"), ("4 log in", "passed")])
        self.assertEqual({c[1] for c in cases}, {"passed"})
        suite = tree.parse(self.path).getroot()[0]
        self.assertEqual(suite.get("name"), "boot test")
        self.assertEqual(suite.get("timestamp"), "2026-11-30T08:15:00")
        self.assertAlmostEqual(float(suite.get("time")), 11.08, delta=.01)
        times = [float(c.get("time")) for c in suite.iter("testcase")]
        self.assertEqual(times[3], .212)
        self.assertEqual({p.get("name"): p.get("value")
                          for p in suite.iter("property")},
                         {"scenario": "config/rigs/boot-test.json",
                          "vub": "0.1.0"})

    def test_what_failed_says_why_and_the_rest_is_skipped(self):
        cases = self.make("failed")
        self.assertEqual([c[1] for c in cases],
                         ["passed"] * 6 + ["failure"] + ["skipped"] * 2)
        self.assertEqual(cases[6][2:], (
            "it has not looked like error.png in 10000 ms: 41211 of 786432 "
            "pixels differ by more than 8", "gpu.wait"))
        failure = tree.parse(self.path).getroot().find(".//failure")
        self.assertIn("/steps/6: it has not looked like", failure.text)
        self.assertIn('"picture": "error.png"', failure.text)

    def test_pictures_are_attachments(self):
        self.make("failed")
        root = tree.parse(self.path).getroot()
        out = root.findall(".//testcase")[6].find("system-out").text
        found = re.findall(r"\[\[ATTACHMENT\|(.*)\]\]", out)
        self.assertEqual(len(found), 2)
        for path in found:
            self.assertTrue(os.path.exists(path), path)

    def test_processes_are_heard(self):
        self.make("failed")
        out = tree.parse(self.path).getroot().find("testsuite/system-out").text
        self.assertIn("==== vm, status 143 ====", out)
        self.assertIn("dd: error reading '/dev/vda'", out)
        self.assertNotIn("[1;32m", out)

    def test_turns_have_names_of_their_own(self):
        cases = self.make("turns")
        self.assertEqual(len(cases), 302)
        self.assertEqual(cases[1][0], "2 power cut (1 of 50)")

    def test_an_error_outside_of_steps_is_a_case(self):
        self.assertEqual(self.make("error")[1:], [
            ("the scenario as a whole", "error",
             "vub has gone: its control socket was closed", "scenario")])
        self.assertEqual(self.make("empty")[0][1:3],
                         ("error", "it has not passed"))

    def test_text_of_strangers_is_text(self):
        cases = self.make("hostile")
        self.assertEqual([c[1] for c in cases], ["passed", "failure", "error"])
        self.assertIn("<script>document.title='evil'</script>\"'><img src=x",
                      cases[1][2])
        self.assertIn("]]> &amp; &#x3c;", cases[1][2])

    def test_what_is_vast_is_bounded(self):
        self.assertEqual(len(self.make("vast")), 20001)
        self.assertLess(os.path.getsize(self.path), 80 << 20)


if __name__ == "__main__":
    MADE = sys.argv.pop(1)
    unittest.main()
