#!/usr/bin/env python3
"""metrics.py VUB: the metrics are what OpenMetrics 1.0 says, and say what stats
says."""

from open_metrics import parse, value
from rig import Client, Vub, ctl, disk, run

DEVICES = [
    disk("a", queues=2), disk("b.0-9_Z"),
    {"id": "s", "type": "scsi", "luns": [
        {"target": 255, "lun": 16383, "store": {"type": "null", "size": "1M"}}]},
    {"id": "g", "type": "gpu", "display": "headless"},
    {"id": "k", "type": "input",
     "source": {"type": "virtual", "preset": "keyboard"}}]


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


def limited(name, limits, throttle=None):
    """A disk with a throttle of its own, or one that is shared."""
    store = dict(limits, type="throttle", next=disk()["store"])
    return disk(name, store=dict(store, name=throttle) if throttle else store)


def throttles_are_told_of():
    odd = 'of "all" \\ ä'
    vub = Vub([limited("a", {"iops": 10, "bps_write": "1M"}),
               limited("b", {}, odd), limited("e", {"bps": 7}, odd),
               {"id": "s", "type": "scsi", "luns": [
                   {"lun": i, "store": limited("x", {"iops_read": 5})["store"]}
                   for i in range(3)]}])
    client = Client()
    families = parse(client.do("metrics")["text"])
    escaped = odd.replace("\\", r"\\").replace('"', r'\"')
    assert families["vub_throttle_operations_limit"][1] == {
        ("vub_throttle_operations_limit",
         (f'throttle="{name}"', f'of="{kind}"')): rate
        for name, kind, rate in (("a", "all", 10), ("s", "read", 5))}
    assert families["vub_throttle_limit_bytes"][1] == {
        ("vub_throttle_limit_bytes", (f'throttle="{name}"', f'of="{kind}"')):
        rate for name, kind, rate in (("a", "write", 1 << 20),
                                      (escaped, "all", 7))}
    # One of each for each device, however many of its units use it.
    for family in ("waiting", "oldest_seconds", "held", "held_seconds"):
        for device, name in (("a", "a"), ("b", escaped), ("e", escaped),
                             ("s", "s")):
            assert value(families, f"vub_throttle_{family}",
                         f'device="{device}"', f'throttle="{name}"') == 0
        assert len(families[f"vub_throttle_{family}"][1]) == 4
    told = client.do("stats", device="b")["throttles"]
    assert [t["name"] for t in told] == [odd] and told[0]["bps"] == 7, told
    assert [u["device"] for u in told[0]["users"]] == ["b", "e"], told
    lines = ctl("--socket", "run/c.sock", "stats", "device=a").splitlines()
    assert lines[-3:] == [
        "THROTTLES",
        "  throttle: name a, iops 10, iops_burst 1, bps_write 1048576, "
        "bps_write_burst 104857", "  user: device a"], lines
    vub.end()


def throttles_of_processes_have_their_names():
    vub = Vub([dict(limited(name, {"iops": 5}, f"of {name}"),
                    isolation="process") for name in ("a", "b")])
    families = parse(Client().do("metrics")["text"])
    assert families["vub_throttle_operations_limit"][1] == {
        ("vub_throttle_operations_limit",
         (f'throttle="of {name}"', 'of="all"')): 5 for name in ("a", "b")}
    assert value(families, "vub_throttle_waiting", 'device="a"',
                 'throttle="of a"') == 0
    vub.end()


def stack(*filters):
    """A memory store below these filters, the first at the top."""
    store = {"type": "memory", "size": "1M"}
    for keys in reversed(filters):
        store = dict(keys, next=store)
    return store


RULES = [{"op": "read"}, {"name": "liar", "outcome": "drop", "op": "flush"},
         {"name": "two"}, {"name": "two"}, {"name": '"'}]
FILTERED = [
    disk("f", store=stack(
        {"type": "fault", "rules": RULES, "name": 'of "all" \\ ä'},
        {"type": "delay", "name": "slow"}, {"type": "powercut"},
        {"type": "cow"}, {"type": "trace", "path": "f.trace"},
        {"type": "fault", "rules": [{"armed": False}]})),
    {"id": "u", "type": "scsi", "luns": [
        {"lun": n, "store": stack({"type": "delay", "name": "same"},
                                  {"type": "delay", "name": "same"},
                                  {"type": "delay", "name": "7"})}
        for n in range(2)]}]


def filters_are_told_of():
    vub = Vub(FILTERED)
    families = parse(Client().do("metrics")["text"])
    odd = r'filter="of \"all\" \\ ä"'
    # A rule has its name if no other has it and it needs no escape; else its
    # number.
    for family in ("fault_matched", "fault_fired"):
        assert families[f"vub_{family}"] == ["counter", {
            (f"vub_{family}_total",
             ('device="f"', name, f'rule="{rule}"')): 0
            for name, rules in ((odd, ("0", "liar", "2", "3", "4")),
                                ('filter="5"', "0"))
            for rule in rules}], families[f"vub_{family}"]
    for name in (odd, 'filter="5"'):
        assert value(families, "vub_fault_held", 'device="f"', name) == 0
    assert value(families, "vub_delay_held", 'device="f"', 'filter="slow"') == 0
    for family in ("vub_powercut_cuts", "vub_powercut_unflushed_bytes"):
        assert value(families, family, 'device="f"', 'filter="2"') == 0
    assert value(families, "vub_cow_overlay_bytes", 'device="f"',
                 'filter="3"') == 0
    for family in ("records", "lost", "bytes"):
        assert len(families[f"vub_trace_{family}"][1]) == 1
    assert {labels for _, labels in families["vub_delay_waiting"][1]} == {
        ('device="f"', 'filter="slow"')} | {
        ('device="u"', f'filter="{n}"', 'target="0"', f'lun="{lun}"')
        for lun in range(2) for n in range(3)}
    vub.end()


def a_process_tells_what_we_would():
    """So the list of families that a process may tell of has them all."""
    told = []
    for more in ({}, {"isolation": "process"}):
        vub = Vub([dict(d, **more) for d in DEVICES + FILTERED])
        families = parse(Client().do("metrics")["text"])
        families.pop("vub_device_restarts", None)
        told.append({name: (kind, set(samples))
                     for name, (kind, samples) in families.items()})
        vub.end()
    assert told[0] == told[1], [n for n in told[0] if told[0][n] !=
                                told[1].get(n)]


def ctl_prints_names_as_text():
    vub = Vub([limited("a", {"iops": 5}, "a\33[31m\u009b1m")])
    text = ctl("--socket", "run/c.sock", "metrics")
    assert 'throttle="a?[31m?1m"' in text, text
    assert text.endswith("\n# EOF\n"), text
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
     throttles_are_told_of, throttles_of_processes_have_their_names,
     filters_are_told_of, a_process_tells_what_we_would,
     ctl_prints_names_as_text, ctl_prints_the_text_and_nothing_else])
