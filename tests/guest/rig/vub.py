"""vub under test: a config made from Python, a process, and its sockets."""

import json
import os
import signal

from .loop import Failure, Lines
from .process import Process

START_SECONDS = 20
STOP_SECONDS = 20


class Vub:
    """`devices` is the list of the config. Sockets are `directory`/ID.sock;
    name keeps two of them in one test apart."""

    def __init__(self, loop, binary, directory, logs, devices, name="vub"):
        self.loop = loop
        self.name = name
        self.process = None
        self._binary = binary
        self._logs = logs
        self._directory = os.path.join(directory, name)
        os.makedirs(self._directory, exist_ok=True)
        self._config = os.path.join(self._directory, "devices.json")
        with open(self._config, "w") as f:
            json.dump({"runtime_dir": self._directory, "devices": devices}, f,
                      indent=2)
        self.start()

    def socket(self, device):
        return os.path.join(self._directory, device + ".sock")

    def start(self):
        """Returns when all its sockets listen."""
        ready_fd, theirs = os.pipe()
        self.process = Process(
            self.loop, self.name,
            [self._binary, "--config", self._config,
             "--ready-fd", str(theirs)], self._logs, pass_fds=[theirs])
        os.close(theirs)
        ready = Lines(self.loop, ready_fd,
                      os.path.join(self._logs, self.name + "-ready.log"))
        self.loop.wait(lambda: ready.lines or ready.ended, START_SECONDS,
                       f"{self.name} to be ready")
        ready.close()
        if not ready.lines:
            raise Failure(f"{self.name} closed its ready-fd without a word")

    def kill(self):
        """SIGKILL: nothing is drained, nothing is said."""
        self.process.close()

    def reload_sizes(self):
        self.process.signal(signal.SIGHUP)

    def stop(self):
        """SIGTERM, which must end it soon with status 0. Under a leak
        checker this is where leaks are told."""
        self.process.may_end = True
        self.process.signal(signal.SIGTERM)
        status = self.process.wait_end(STOP_SECONDS,
                                       f"{self.name} to end after SIGTERM")
        if status != 0:
            raise Failure(f"{self.name} on SIGTERM: "
                          + self.process.describe_status())
        for device in os.listdir(self._directory):
            if device.endswith(".sock"):
                raise Failure(f"{self.name} left {device} behind")
        self.process.close()

    def open_fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def close(self):
        if self.process:
            self.process.close()
