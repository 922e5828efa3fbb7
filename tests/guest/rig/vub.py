"""vub under test: its config, its process, its sockets."""

import json
import os
import signal

from .loop import Failure, Lines
from .process import Process

START_SECONDS = 20
STOP_SECONDS = 20


def write_config(path, runtime_dir, devices):
    with open(path, "w") as f:
        json.dump({"runtime_dir": runtime_dir, "control": "control.sock",
                   "devices": devices}, f, indent=2)


class Vub:
    """Sockets are `directory`/ID.sock. sets: values for --set. name keeps
    two of them in one test apart."""

    def __init__(self, loop, binary, config, directory, logs, sets=(),
                 name="vub"):
        self.loop = loop
        self.name = name
        self.process = None
        self._argv = [binary, "--config", config]
        for one in sets:
            self._argv += ["--set", one]
        self._directory = directory
        self._logs = logs
        self._generation = 1
        self.start()

    def socket(self, device):
        return os.path.join(self._directory, device + ".sock")

    def start(self):
        """Returns when all its sockets listen."""
        self.process = self._start(self.name)

    def _start(self, name, *more):
        ready_fd, theirs = os.pipe()
        process = Process(
            self.loop, name,
            [*self._argv, *more, "--ready-fd", str(theirs)], self._logs,
            pass_fds=[theirs],
            env={**os.environ, "VUB_DUMPABLE": "1"})  # for open_fds()
        os.close(theirs)
        ready = Lines(self.loop, ready_fd,
                      os.path.join(self._logs, name + "-ready.log"))
        self.loop.wait(lambda: ready.lines or ready.ended, START_SECONDS,
                       f"{name} to be ready")
        ready.close()
        if not ready.lines:
            raise Failure(f"{name} closed its ready-fd without a word")
        return process

    def hand_over(self):
        """Another process takes over, and this one ends."""
        old = self.process
        old.may_end = True
        self._generation += 1
        self.process = self._start(f"{self.name}-{self._generation}",
                                   "--take-over")
        if old.wait_end(STOP_SECONDS) != 0:
            raise Failure(f"{old.name}, that was taken over from: "
                          + old.describe_status())
        old.close()

    def pause(self):
        """Every thread stands still until resume() or kill()."""
        self.process.pause()

    def resume(self):
        self.process.resume()

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
