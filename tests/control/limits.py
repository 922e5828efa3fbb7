#!/usr/bin/env python3
"""limits.py VUB: limits of throttles that a config changes, from outside.

Devices stay, with their sockets and front-ends, when nothing but limits differs
between what they were opened by and what the file says; what waits there, and
goes then, is tests/behave's."""

from rig import Client, Vub, connect, disk, errors, run, served, write


def throttle(below=None, **keys):
    return dict({"type": "throttle",
                 "next": below or {"type": "memory", "size": "1M"}}, **keys)


def slow(device, **keys):
    return disk(device, store=throttle(**keys))


def limits(client, name):
    """As status has them, without those who use it."""
    for one in client.do("status").get("throttles", []):
        if one["name"] == name:
            return {key: one[key] for key in one if key not in
                    ("name", "users")}
    return None


def stays(end):
    """Nobody has closed it, or said anything."""
    end.setblocking(False)
    try:
        return end.recv(1) is None
    except BlockingIOError:
        return True


FATES = ("added", "removed", "changed", "adjusted", "kept")


def reload(client):
    """Devices by what became of them, those of which something did."""
    got = client.do("config.reload")
    assert tuple(got) == FATES, got
    return {fate: got[fate] for fate in FATES if got[fate]}


def a_device_stays_with_other_limits():
    vub = Vub([slow("a", iops=100), slow("b", bps="1M"), disk("d")])
    client, other = Client(), Client()
    ends = [connect(f"run/{name}.sock") for name in "abd"]
    other.do("events")
    write(slow("a", iops=200, bps_read="4M"), slow("b"), disk("d"))
    assert reload(client) == {"adjusted": ["a", "b"], "kept": ["d"]}
    assert limits(client, "a") == {"iops": 200, "iops_burst": 20,
                                   "bps_read": 4 << 20,
                                   "bps_read_burst": (4 << 20) // 10}
    assert limits(client, "b") == {}
    assert all(stays(end) for end in ends)
    # What it says now is what the next is compared with.
    assert reload(client) == {"kept": ["a", "b", "d"]}
    write(slow("a", iops=200, bps_read="4096K"), slow("b"), disk("d"))
    assert reload(client) == {"kept": ["a", "b", "d"]}
    # No event has come of it: those that come next are of this.
    client.do("device.remove", device="d")
    told = other.event()
    while told["event"] != "device.removed":
        assert told["event"] == "connect" or told["device"] == "d", told
        told = other.event()
    said = vub.end()
    assert "a: has other limits now" in said, said


def a_device_that_is_read_again_stays_too():
    vub = Vub([slow("a", iops=100), slow("b", iops=100)])
    client = Client()
    end = connect("run/a.sock")
    write(slow("a", iops=50), slow("b", iops=70))
    client.do("device.reload", device="a")
    assert limits(client, "a") == {"iops": 50, "iops_burst": 5}
    assert limits(client, "b") == {"iops": 100, "iops_burst": 10}
    assert stays(end)
    assert reload(client) == {"adjusted": ["b"], "kept": ["a"]}
    # Without a difference it is what was asked for: opened again.
    client.do("device.reload", device="a")
    end.setblocking(True)
    assert end.recv(1) == b""
    vub.end()


def whatever_else_differs_opens_it_again():
    vub = Vub([slow("a", iops=100), slow("b", iops=100)])
    client = Client()
    ends = [connect("run/a.sock"), connect("run/b.sock")]
    write(dict(slow("a", iops=200), queues=2), slow("b", iops=100, name="x"))
    assert reload(client) == {"changed": ["a", "b"]}
    assert [end.recv(1) for end in ends] == [b"", b""]
    assert limits(client, "a") == {"iops": 200, "iops_burst": 20}
    assert limits(client, "x") == {"iops": 100, "iops_burst": 10}
    assert limits(client, "b") is None
    vub.end()


def a_throttle_in_a_throttle_of_a_unit_is_found():
    def san(inner, outer):
        return {"id": "san", "type": "scsi", "luns": [
            {"lun": 0, "store": throttle(throttle(name="in", **inner),
                                         **outer)},
            {"lun": 1, "store": throttle()}]}

    vub = Vub([san({"iops": 10}, {"bps": 4096})])
    client = Client()
    end = connect("run/san.sock")
    write(san({"iops": 30, "iops_burst": 7}, {"bps_write": 8192}))
    assert reload(client) == {"adjusted": ["san"]}
    assert limits(client, "in") == {"iops": 30, "iops_burst": 7}
    assert limits(client, "san") == {"bps_write": 8192, "bps_write_burst": 819}
    assert stays(end)
    vub.end()


def what_several_share_changes_for_all():
    def shared(*said):
        return [slow(name, name="gold", **keys)
                for name, keys in zip("abe", said)]

    vub = Vub(shared({"iops": 100}, {}, {"iops": 100}))
    client = Client()
    ends = [connect(f"run/{name}.sock") for name in "abe"]
    write(*shared({"iops": 300}, {}, {"iops": 300}))
    assert reload(client) == {"adjusted": ["a", "e"], "kept": ["b"]}
    assert limits(client, "gold")["iops"] == 300
    # Somebody else says them now.
    write(*shared({}, {"iops": 400}, {}))
    assert reload(client) == {"adjusted": ["a", "b", "e"]}
    assert limits(client, "gold")["iops"] == 400
    # One comes who says what is said from now on, while another goes.
    write(*shared({"iops": 500}, {"iops": 500}),
          slow("d", name="gold", iops=500))
    assert reload(client) == {"added": ["d"], "removed": ["e"],
                              "adjusted": ["a", "b"]}
    assert limits(client, "gold")["iops"] == 500
    write(*shared({}, {}), slow("d", name="gold"))
    assert reload(client) == {"adjusted": ["a", "b", "d"]}
    assert limits(client, "gold") == {}
    assert all(stays(end) for end in ends[:2])
    vub.end()


def those_of_one_name_must_agree():
    vub = Vub([slow("a", name="gold", iops=100),
               slow("b", name="gold", iops=100)])
    client = Client()
    mistake = ('another throttle "gold" has other limits, and those of one '
               'name are one: say the same here, or none, or give it another '
               'name')
    write(slow("a", name="gold", iops=200), slow("b", name="gold", iops=100))
    for method, params in (("config.reload", {}),
                           ("device.reload", {"device": "a"})):
        got = client.ask(method, **params)
        assert errors(got) == [{"at": "/devices/0/store",
                                "message": mistake}], got
        assert limits(client, "gold")["iops"] == 100
    got = client.ask("device.add", config=slow("e", name="gold", iops=7))
    assert errors(got) == [{"at": "/params/config/store",
                            "message": mistake}], got
    client.do("device.add", config=slow("e", name="gold", iops=100))
    # Whoever has said it has gone: another may say another.
    for name in "abe":
        client.do("device.add", config=slow(f"{name}2", name="gold"))
        client.do("device.remove", device=name)
    assert limits(client, "gold")["iops"] == 100
    client.do("device.add", config=slow("d", name="gold", iops=7))
    assert limits(client, "gold")["iops"] == 7
    vub.end()


def what_was_set_meanwhile_stays_unless_the_config_says_another():
    vub = Vub([slow("a", iops=100), slow("b", iops=100)])
    client = Client()
    for name in "ab":
        client.do("throttle.set", name=name, iops=1000, bps="1M")
    write(slow("a", iops=100), slow("b", iops=200))
    assert reload(client) == {"adjusted": ["b"], "kept": ["a"]}
    assert limits(client, "a")["iops"] == 1000
    assert limits(client, "b") == {"iops": 200, "iops_burst": 20}
    vub.end()


def what_fails_changes_no_limits():
    vub = Vub([slow("a", iops=100), slow("b", iops=100)])
    client = Client()
    end = connect("run/a.sock")
    client.do("throttle.set", name="a", iops=1000)
    bad = disk("bad", store={"type": "file", "path": "none.img"})
    write(slow("a", iops=200), slow("b", iops=200), bad)
    assert "result" not in client.ask("config.reload")
    write(slow("a", iops=200, bps_burst=1), slow("b", iops=200))
    got = client.ask("config.reload")
    assert errors(got) == [{"at": "/devices/0/store/bps_burst", "message":
                            "a burst of what has no limit"}], got
    assert limits(client, "a")["iops"] == 1000
    assert limits(client, "b")["iops"] == 100
    assert served(client) == ["a", "b"] and stays(end)
    # Nothing of it is left: it is still a difference.
    write(slow("a", iops=200), slow("b", iops=100))
    assert reload(client) == {"adjusted": ["a"], "kept": ["b"]}
    assert limits(client, "a")["iops"] == 200
    vub.end()


run([a_device_stays_with_other_limits, a_device_that_is_read_again_stays_too,
     whatever_else_differs_opens_it_again,
     a_throttle_in_a_throttle_of_a_unit_is_found,
     what_several_share_changes_for_all, those_of_one_name_must_agree,
     what_was_set_meanwhile_stays_unless_the_config_says_another,
     what_fails_changes_no_limits])
