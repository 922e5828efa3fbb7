"""What a page shows, run here: its sockets are in a directory of the test's,
and a vub serves what it names."""

import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT = 60  # seconds, for what should take one or two
PROGRAM = str(pathlib.Path(sys.argv[1]).resolve())

DEVICES = [
    {"id": "root", "type": "block", "queues": 2,
     "store": {"type": "memory", "size": "64M"}},
    {"id": "san", "type": "scsi", "queues": 2},
    {"id": "keyboard", "type": "input",
     "source": {"type": "virtual", "preset": "keyboard"}},
    {"id": "screen", "type": "gpu"},
]


def blocks(name, kind):
    """The blocks of one kind on a page, for sockets in ./run."""
    text = (ROOT / "docs" / name).read_text()
    found = re.findall(rf"^```{kind}\n(.*?)^```$", text, re.M | re.S)
    here = str(pathlib.Path("run").resolve())
    return [block.replace("/run/vub", here) for block in found]


class Vub:
    """A vub in ./run. Each connection is a line at its end at the latest."""

    def __init__(self, **kwargs):
        pathlib.Path("vub.json").write_text(json.dumps(
            {"runtime_dir": "run", "devices": DEVICES}))
        self.process = subprocess.Popen(
            [PROGRAM, "--config", "vub.json"], stderr=subprocess.PIPE,
            text=True, **kwargs)
        self.said = ""
        self.hear("devices ready")

    def hear(self, text):
        for line in self.process.stderr:
            self.said += line
            if text in line:
                return line
        raise AssertionError((text, self.said))

    def gone(self, device):
        """Hears a front-end of the device go; it must be of its own will."""
        line = self.hear(f"vub: {device}: ")
        while "is gone" not in line:
            line = self.hear(f"vub: {device}: ")
        assert line.endswith("it hung up\n"), self.said

    def end(self):
        self.process.terminate()
        _, rest = self.process.communicate(timeout=LIMIT)
        assert self.process.returncode == 0, self.said + rest
