"""The text of OpenMetrics 1.0, read by a parser that is as strict as its
grammar."""

import re

LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(
    rf"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{{({LABEL}(?:,{LABEL})*)\}})? "
    r"([0-9]+(?:\.[0-9]+)?|\+Inf)")
ENDINGS = {"counter": ["_total"], "gauge": [""],
           "histogram": ["_bucket", "_count", "_sum"]}


def parse(text):
    """{family: (type, {(name, labels): value})}; fails where it is wrong."""
    assert text.endswith("\n# EOF\n"), text[-40:]
    families, name, seen = {}, None, set()
    for line in text[:-len("# EOF\n")].splitlines():
        if line.startswith("# "):
            _, what, family, rest = line.split(" ", 3)
            if family != name:
                assert family not in families, f"{family} comes twice"
                name, seen = family, set()
                families[name] = [None, {}]
            assert what in ("HELP", "TYPE", "UNIT") and what not in seen, line
            assert not families[name][1], f"{line} comes after its samples"
            seen.add(what)
            if what == "TYPE":
                families[name][0] = rest
            if what == "UNIT":
                assert name.endswith("_" + rest), line
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        kind, samples = families[name]
        assert match[1] in [name + end for end in ENDINGS[kind]], line
        labels = re.findall(LABEL, match[2] or "")
        names = [label.split("=")[0] for label in labels]
        assert len(set(names)) == len(names), line
        key = (match[1], tuple(labels))
        assert key not in samples, f"{line} comes twice"
        samples[key] = float(match[3])
    return families


def value(families, family, *labels):
    """Of the sample of this family that has just these labels."""
    kind, samples = families[family]
    return samples[(family + ENDINGS[kind][0], labels)]
