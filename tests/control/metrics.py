#!/usr/bin/env python3
"""metrics.py VUB: the metrics are what OpenMetrics 1.0 says, by a parser of our
own that is as strict as its grammar, and say what stats says."""

import re

from rig import Client, Vub, ctl, disk, run

LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(
    rf"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{{({LABEL}(?:,{LABEL})*)\}})? "
    r"([0-9]+(?:\.[0-9]+)?|\+Inf)")
ENDINGS = {"counter": ["_total"], "gauge": [""],
           "histogram": ["_bucket", "_count", "_sum"]}

DEVICES = [
    disk("a", queues=2), disk("b.0-9_Z"),
    {"id": "s", "type": "scsi", "luns": [
        {"target": 255, "lun": 16383, "store": {"type": "null", "size": "1M"}}]},
    {"id": "g", "type": "gpu", "display": "headless"},
    {"id": "k", "type": "input",
     "source": {"type": "virtual", "preset": "keyboard"}}]


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


def check_histograms(samples):
    """Buckets go up, by bound and count, and end with all."""
    rings = {}
    for (name, labels), value in samples.items():
        if name.endswith("_bucket"):
            bound = float(labels[-1][len('le="'):-1])
            rings.setdefault(labels[:-1], []).append((bound, value))
    assert rings
    for labels, buckets in rings.items():
        assert buckets == sorted(buckets), labels
        assert [b[0] for b in buckets] == sorted({b[0] for b in buckets})
        assert buckets[-1][0] == float("inf")
        assert [b[1] for b in buckets] == sorted(b[1] for b in buckets)
        count = samples[("vub_ring_latency_seconds_count", labels)]
        assert buckets[-1][1] == count
        assert ("vub_ring_latency_seconds_sum", labels) in samples


def the_text_is_open_metrics():
    vub = Vub(DEVICES)
    result = Client().do("metrics")
    assert result["content_type"] == \
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    families = parse(result["text"])
    check_histograms(families["vub_ring_latency_seconds"][1])
    assert families["vub_version"][1] == {
        ("vub_version", ('version="0.1.0"',)): 1}
    assert families["vub_device_answers"][1] == {
        ("vub_device_answers", (f'device="{d["id"]}"', f'type="{d["type"]}"')):
        1 for d in DEVICES}
    assert families["vub_block_size_bytes"][1] == {
        ("vub_block_size_bytes", (f'device="{name}"',)): 1 << 20
        for name in ("a", "b.0-9_Z")}
    assert ("vub_scsi_bytes_total",
            ('device="s"', 'target="255"', 'lun="16383"',
             'operation="write"')) in families["vub_scsi_bytes"][1]
    for family in ("vub_input_events", "vub_gpu_flushes"):
        assert len(families[family][1]) == 1
    vub.end()


def one_device_may_be_asked_for():
    vub = Vub(DEVICES)
    client = Client()
    families = parse(client.do("metrics", device="k")["text"])
    assert "vub_input_frames" in families and "vub_block_size" not in families
    for _, samples in families.values():
        assert all(labels[0] in ('device="k"', 'version="0.1.0"')
                   for _, labels in samples)
    devices = client.do("stats", device="k")["devices"]
    assert [d["id"] for d in devices] == ["k"]
    assert [r["index"] for r in devices[0]["rings"]] == [0, 1]
    assert devices[0]["input"]["events"] == 0
    for command in ("stats", "metrics"):
        error = client.ask(command, device="none")["error"]
        assert error["data"]["at"] == "/params/device", error
    vub.end()


def ctl_prints_the_text_and_nothing_else():
    vub = Vub(DEVICES)
    at = ("--socket", "run/c.sock")
    assert ctl(*at, "metrics") == Client().do("metrics")["text"]
    lines = ctl(*at, "stats", "device=a").splitlines()
    assert lines == [
        "a: block, none",
        "  ring 0: 0 in flight, 0 kicks, 0 calls, 0 chains",
        "  ring 1: 0 in flight, 0 kicks, 0 calls, 0 chains",
        "  block: size 1048576, store memory, read_only no, write_cache no",
        "  queue 0: nothing yet",
        "  queue 1: nothing yet"], lines
    vub.end()


run([the_text_is_open_metrics, one_device_may_be_asked_for,
     ctl_prints_the_text_and_nothing_else])
