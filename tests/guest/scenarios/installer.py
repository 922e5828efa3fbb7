"""The rig `installer` of config/rigs: an installer on a text console, whose
pages are waited for by their pictures, which is typed to and clicked at, and
writes what it was told to the disk that was chosen. A page that is not as
expected is found, and shown.

Variant: wrong, with a reference of another page."""

import os
import shutil
import subprocess

from rig import example, picture
from rig.initramfs import find_program
from rig.loop import Failure

CLOCK = 576, 0, 64, 16
PAYLOAD = b"v" * (8 << 20)


def on_disk(image, path):
    """What a file holds, by e2fsprogs: nothing of vub's has a say in that."""
    return subprocess.run(
        [find_program("debugfs"), "-R", "cat " + path, image],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout


def need(what, found, wanted):
    if found != wanted:
        raise Failure(f"{what} is {found[:80]!r}, not {wanted[:80]!r}")


def need_page(page, path):
    """A picture of the report is this page, but for what time it is."""
    stored = picture.read(os.path.join(example.RIGS, "installer", page))
    difference = picture.read(path).box(*CLOCK, 0).difference(
        stored.box(*CLOCK, 0))
    if difference:
        raise Failure(f"{path} is not {page}: {difference}")


def look_at_pictures(result):
    need_page("ready.png", os.path.join(result.report, "answers.png"))
    if picture.read(os.path.join(result.report, "end.png")).size != "640x480":
        raise Failure("end.png is no picture of the screen")
    if result.html().count("data:image/png;base64,") < 2:
        raise Failure("the report does not have its pictures in it")


def right(rig):
    result = example.run(rig, "installer")
    result.need_passed()
    image = rig.path("disk.img")
    need("the host name", on_disk(image, "/etc/hostname"), b"lab-7\n")
    need("the language", on_disk(image, "/etc/locale.conf"), b"LANG=de_DE\n")
    need("the payload", on_disk(image, "/payload"), PAYLOAD)
    look_at_pictures(result)
    for page in ("which language?", "it is chosen", "click at it",
                 "it may be switched off"):
        if page not in dict(result.steps):
            raise Failure(f"the JUnit file has no \"{page}\"")


def take_wrong_picture(path, scenario):
    shutil.copy(os.path.join(path, "done.png"),
                os.path.join(path, "german.png"))
    [step] = [step for step in scenario["steps"]
              if step.get("name") == "Deutsch is marked"]
    step["timeout_ms"] = 3000


def wrong(rig):
    rigs = example.spoilt(rig, "installer", take_wrong_picture)
    result = example.run(rig, "installer", rigs=rigs)
    result.need_failed("Deutsch is marked", "pixels that differ")
    rig.note("found: " + dict(result.failures())["Deutsch is marked"])
    # What was there instead is shown.
    [shown] = [name for name in os.listdir(result.report)
               if name.endswith(".png")]
    need_page("german.png", os.path.join(result.report, shown))


def run(rig):
    {None: right, "wrong": wrong}[rig.variant](rig)
