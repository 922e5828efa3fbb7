#!/usr/bin/env python3
"""commands.py VUB: vub trace print, summary, plot and replay."""

import json
import os
import struct
import subprocess
import sys
import tempfile
import xml.dom.minidom
import zlib

from made import (DISCARD, FLUSH, FUA, GOES_ON, LOST, READ, SECOND, STOP,
                  WRITE, ZERO, head, mixed, record)

VUB = os.path.abspath(sys.argv[1])


def trace(*args):
    return subprocess.run([VUB, "trace", *args], capture_output=True,
                          text=True, timeout=60)


def good(*args):
    r = trace(*args)
    assert r.returncode == 0, r
    return r.stdout


def put(name, *parts):
    with open(name, "wb") as f:
        f.write(b"".join(parts))
    return name


def refused(status, text, *args):
    r = trace(*args)
    assert r.returncode == status and text in r.stderr, r
    assert r.stderr.startswith("vub: "), r


# ---- print ----

def each_record_is_a_line():
    f = put("t", head(),
            record(READ, 1500, 2500, 4096, 8192, sequence=3),
            record(WRITE, SECOND, 10**6, 512, 512, 4, error=28, worker=1,
                   flags=FUA),
            record(FLUSH, SECOND + 1, sequence=5),
            record(LOST, 2 * SECOND, length=17, worker=1),
            record(STOP, 3 * SECOND, length=0, worker=255))
    lines = good("print", f).splitlines()
    assert len(lines) == 6, lines
    assert lines[1].split() == ["0.000001500", "0", "3", "read", "4096",
                                "8192", "2.5", "us", "ok"], lines[1]
    assert "No space left on device fua" in lines[2], lines[2]
    assert "lost" in lines[4] and "17 requests" in lines[4], lines[4]
    assert "stop" in lines[5], lines[5]
    objects = [json.loads(o) for o in good("print", "--json", f).splitlines()]
    assert objects[1] == {
        "op": "write", "submit_ns": SECOND, "done_ns": SECOND + 10**6,
        "worker": 1, "sequence": 4, "offset": 512, "length": 512, "error": 28,
        "flags": ["fua"]}, objects[1]
    assert objects[3]["requests"] == 17, objects[3]


def a_torn_record_is_told():
    f = put("t", head(), record(READ, 0), record(READ, 1)[:-1])
    r = trace("print", f)
    assert r.returncode == 0 and "not whole" in r.stderr, r
    assert json.loads(good("summary", "--json", f))["torn"] is True


def the_older_of_two_files_comes_first():
    old = put("old", head(part=4), record(READ, 1, sequence=1))
    new = put("new", head(part=5), record(READ, 2, sequence=2))
    for files in ([old, new], [new, old]):
        lines = good("print", "--json", *files).splitlines()
        assert [json.loads(o)["sequence"] for o in lines] == [1, 2], lines
    refused(1, "same part", "print", old, old)
    put("new", head(part=5, session=8), record(READ, 2))
    refused(1, "not of the same trace", "print", old, new)


def options_may_stand_behind_the_file():
    f = put("t", head(), record(READ, 1))
    assert json.loads(good("print", f, "--json"))["op"] == "read"


# ---- strangers ----

def what_is_no_trace_is_refused():
    refused(1, "no trace", "print", put("t", b"hello"))
    refused(1, "no trace", "print", put("t", head(magic=b"VUBTRACE")))
    refused(1, "version 2", "print", put("t", head(version=2)))
    refused(1, "41", "print", put("t", head(lengths=(256, 41))))
    refused(1, "blocks of 3", "print", put("t", head(block=3)))
    refused(1, "no end", "print", put("t", head(device=b"x" * 64)))
    refused(1, "No such file", "print", "nowhere")
    refused(1, "no regular file", "print", ".")
    os.mkfifo("fifo")
    refused(1, "no regular file", "print", "fifo")


def a_bad_record_is_named():
    for bad in (record(5, 0), record(15, 0),
                record(READ, 2**64 - 1, took=0),
                record(READ, 5, took=-4 % 2**64 - 2**64),
                record(READ, 0, offset=2**64 - 512, length=512),
                record(READ, 0, length=2**63), record(READ, 0, length=7),
                record(READ, 0, flags=8), record(READ, 0, error=60000)):
        f = put("t", head(), record(READ, 0), bad)
        for command in (["print"], ["summary"], ["plot", "-o", "t.svg"],
                        ["replay", "--store", '{"type": "null"}']):
            refused(1, "record 1: ", *command, f)
    assert not os.path.exists("t.svg")


def names_and_extremes_do_no_harm():
    f = put("t", head(size=1 << 62, device=b"<a&\"\xff\x1b[31m"),
            record(READ, 0, took=2**63 - 1, length=(1 << 62)),
            record(ZERO, 2**62, took=2**62 - 1, offset=0, length=1 << 62),
            record(LOST, 0, length=2**64 - 1),
            record(LOST, 0, length=2**64 - 1), record(GOES_ON, 0, length=0))
    text = good("summary", f)
    assert "\x1b" not in text and "18446744073709551615 more" in text, text
    json.loads(good("summary", "--json", f))
    good("plot", "-o", "t.svg", f)
    xml.dom.minidom.parse("t.svg")
    good("plot", "-o", "t.png", f)
    out = json.loads(good("replay", "--json", "--write", "--timing=fast",
                          "--store", '{"type": "null", "size": "1M"}', f))
    assert out["left_out"]["beyond"] == 2 and out["requests"] == 0, out


def an_empty_trace_is_none_the_less_one():
    f = put("t", head())
    assert "0 requests" in good("summary", f)
    assert json.loads(good("summary", "--json", f))["requests"] == 0
    good("plot", "-o", "t.png", f)
    assert "0 requests" in good("replay", "--store",
                                '{"type": "null", "size": "1M"}', f)


# ---- summary ----

def a_summary_counts():
    f = put("t", head(),
            *(record(READ, i * 1000, 10000 * (i + 1), i * 4096, sequence=i)
              for i in range(100)),
            *(record(WRITE, i * 1000, 500, (i * 7919 % 100) << 20, 512,
                     sequence=i, worker=1, error=5 * (i == 3))
              for i in range(100)),
            record(LOST, 5, length=9))
    out = json.loads(good("summary", "--json", f))
    read, write = out["operations"]["read"], out["operations"]["write"]
    assert out["requests"] == 200 and out["lost"] == 9, out
    assert read["requests"] == 100 and read["sequential"] == 99, read
    assert read["bytes"] == 409600 and read["errors"] == 0, read
    assert read["max_ns"] == 10**6 and 4e5 < read["p50_ns"] < 7e5, read
    assert write["errors"] == 1 and write["sequential"] == 0, write
    assert sum(s["requests"] for s in out["spans"]) == 200
    assert max(s["depth_max"] for s in out["spans"]) > 50
    # A read of 10 us more each, begun every microsecond: the mean depth is
    # what all have taken over the time.
    width = out["spans"][1]["from_ns"]
    total = sum(s["depth"] * width for s in out["spans"])
    assert abs(total - 10000 * 5050 - 500 * 100) < 20000, total
    assert out["regions"][0]["reads"] == 100, out["regions"]
    text = good("summary", f)
    assert "9 more are lost" in text and "99 %" in text, text


# ---- plot ----

def png_of(name):
    with open(name, "rb") as f:
        data = f.read()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, packed = 8, b""
    while at < len(data):
        n, kind = struct.unpack(">I4s", data[at:at + 8])
        if kind == b"IHDR":
            width, height = struct.unpack(">II", data[at + 8:at + 16])
        if kind == b"IDAT":
            packed += data[at + 8:at + 8 + n]
        at += 12 + n
    rows, raw, stride = [], zlib.decompress(packed), width * 3 + 1
    before = bytes(width * 3)
    for y in range(height):
        line = raw[y * stride:(y + 1) * stride]
        assert line[0] in (0, 2), line[0]
        row = line[1:] if line[0] == 0 else bytes(
            (a + b) & 255 for a, b in zip(line[1:], before))
        rows.append(row)
        before = row
    return width, height, rows


def a_plot_is_a_picture_of_either_kind():
    f = put("t", mixed(3000))
    good("plot", f, "-o", "t.svg")
    doc = xml.dom.minidom.parse("t.svg")
    texts = " ".join(t.firstChild.data
                     for t in doc.getElementsByTagName("text"))
    for word in ("disk: file of 1.0 GiB", "read", "write", "flush",
                 "discard", "100 us", "10 ms", "requests under way", "5 s"):
        assert word in texts, (word, texts)
    assert len(doc.getElementsByTagName("rect")) > 500
    good("plot", f, "--output=t.png")
    width, height, rows = png_of("t.png")
    assert (width, height) == (2000, 1232), (width, height)
    colors = {row[i:i + 3] for row in rows[160:780]
              for i in range(150, 1900 * 3, 3)}
    assert any(b > r + 60 for r, g, b in colors), "no blue: reads"
    assert any(r > b + 60 for r, g, b in colors), "no orange: writes"


def errors_are_red():
    f = put("t", head(), record(READ, 0, error=5), record(READ, 9, 2000))
    good("plot", f, "-o", "t.svg")
    with open("t.svg") as svg:
        assert 'fill="#ff0000"' in svg.read()


def a_plot_says_where_it_cannot_go():
    f = put("t", head(), record(READ, 0))
    refused(2, "--output", "plot", f)
    refused(1, "neither in .svg nor in .png", "plot", f, "-o", "t.gif")
    refused(1, "nowhere/t.svg", "plot", f, "-o", "nowhere/t.svg")
    refused(1, "nowhere/t.png", "plot", f, "-o", "nowhere/t.png")


# ---- replay ----

def replay(f, store, *more):
    return json.loads(good("replay", "--json", "--store", json.dumps(store),
                           *more, f))


def a_replay_asks_for_the_same():
    f = put("t", mixed(2000, 0.3))
    store = {"type": "trace", "path": "again",
             "next": {"type": "memory", "size": "1G"}}
    for more in (["--timing=fast"], ["--timing=fast", "--depth=1"],
                 ["--timing", "recorded"]):
        out = replay(f, store, "--write", *more)
        assert out["requests"] == 2000 and out["different"] == 0, out
        assert sum(out["left_out"].values()) == 0, out
        key = lambda r: (r["sequence"], r["op"], r["offset"], r["length"])
        first = [json.loads(o) for o in good("print", "--json",
                                             f).splitlines()]
        again = [json.loads(o) for o in good("print", "--json",
                                             "again").splitlines()]
        assert sorted(map(key, first)) == sorted(map(key, again))
        depth = max(s["depth_max"] for s in json.loads(
            good("summary", "--json", "again"))["spans"])
        assert "--depth=1" not in more or depth == 1, depth
    # Not before their time; the first one may have been a little late.
    begins = sorted(r["submit_ns"] for r in first)
    now = sorted(r["submit_ns"] for r in again)
    assert all(b - now[0] >= a - begins[0] - SECOND // 50
               for a, b in zip(begins, now))


def results_that_differ_are_told():
    f = put("t", head(), record(READ, 0, sequence=0),
            record(READ, 10, offset=4096, sequence=1, error=5),
            record(FLUSH, 20, sequence=2))
    store = {"type": "fault", "rules": [{"op": "flush", "error": "ENOSPC"}],
             "next": {"type": "memory", "size": "1M"}}
    out = replay(f, store)
    assert out["different"] == 2, out
    assert sorted(out["differences"], key=lambda d: d["sequence"]) == [
        {"worker": 0, "sequence": 1, "op": "read", "recorded": 5, "now": 0},
        {"worker": 0, "sequence": 2, "op": "flush", "recorded": 0,
         "now": 28}], out
    text = good("replay", "--store", json.dumps(store), f)
    assert "2 results differ" in text, text
    assert "flush of 0 at 0: ok, now No space left on device" in text, text


def a_replay_does_not_write_unless_it_is_told_to():
    f = put("t", head(), record(WRITE, 0), record(DISCARD, 1),
            record(ZERO, 2), record(READ, 3))
    with open("disk", "wb") as disk:
        disk.write(b"x" * 65536)
    store = {"type": "file", "path": "disk"}
    out = replay(f, store)
    assert out["requests"] == 1 and out["left_out"]["writes"] == 3, out
    with open("disk", "rb") as disk:
        assert disk.read() == b"x" * 65536
    replay(f, store, "--write")
    with open("disk", "rb") as disk:
        assert disk.read() != b"x" * 65536


def what_a_store_cannot_do_is_left_out():
    f = put("t", head(), record(READ, 0, offset=1 << 20),
            record(READ, 1, length=512), record(READ, 2, length=1 << 27),
            record(READ, 3))
    out = replay(f, {"type": "null", "size": "1M"})
    assert out["left_out"]["beyond"] == 2 and out["requests"] == 2, out
    out = replay(f, {"type": "null", "size": "1G"})
    assert out["left_out"]["large"] == 1 and out["requests"] == 3, out


def the_store_may_be_that_of_a_device():
    f = put("t", head(), record(READ, 0), record(WRITE, 1))
    config = {"devices": [
        {"id": "a", "type": "block",
         "store": {"type": "trace", "path": "t",
                   "next": {"type": "memory", "size": "1M"}}},
        {"id": "b", "type": "input", "source": {
            "type": "virtual", "preset": "keyboard"}}]}
    with open("vub.json", "w") as c:
        json.dump(config, c)
    args = ["replay", "--config", "vub.json", "--device"]
    out = json.loads(good(*args, "a", "--json", f))
    assert out["requests"] == 1, out
    # What is replayed is not written over by the trace of the device.
    assert "2 requests" in good("summary", f)
    refused(1, 'no device "c"', *args, "c", f)
    refused(1, "has no store", *args, "b", f)


def what_is_asked_wrongly_is_said():
    f = put("t", head(), record(READ, 0))
    refused(2, "print, summary, plot or replay", "paint", f)
    refused(2, "which file", "print")
    refused(2, "which file", "print", f, f, f)
    refused(2, "--jsn", "print", "--jsn", f)
    refused(2, "one of --store and --config", "replay", f)
    refused(2, "go together", "replay", "--config", "x", f)
    refused(2, "must be 1 to 4096", "replay", "--store={}", "--depth=0", f)
    refused(2, "recorded or fast", "replay", "--store={}", "--timing=now", f)
    refused(1, "/store/size", "replay", "--store",
            '{"type": "null", "size": 7}', f)
    refused(1, "--store", "replay", "--store", "{", f)
    refused(1, "cannot open", "replay", "--store",
            '{"type": "file", "path": "nowhere"}', f)
    for command in ([], ["print"], ["summary"], ["plot"], ["replay"]):
        assert "usage: vub trace" in good(*command, "--help")


TESTS = [v for v in list(globals().values())
         if getattr(v, "__module__", "") == "__main__" and callable(v)
         and v.__code__.co_argcount == 0 and not v.__code__.co_flags & 4]

for test in TESTS:
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        print(test.__name__, flush=True)
        test()
        os.chdir("/")
