"""The control socket of a vub: JSON-RPC, one object per line."""

import json
import os
import socket

from .loop import Failure, Lines

ANSWER_SECONDS = 60


class Control:
    def __init__(self, loop, path, log):
        self.loop = loop
        s = socket.socket(socket.AF_UNIX)
        s.connect(path)
        self._lines = Lines(loop, s.detach(), log, self._on_line)
        self._answers = {}
        self._next = 1

    def _on_line(self, line):
        answer = json.loads(line)
        if "id" in answer:
            self._answers[answer["id"]] = answer

    def send(self, method, **params):
        """Asks, and does not wait: the number of the call."""
        number = self._next
        self._next += 1
        line = json.dumps({"jsonrpc": "2.0", "id": number, "method": method,
                           "params": params}).encode() + b"\n"
        while line:  # a full socket is emptied while its answers are read
            try:
                line = line[os.write(self._lines.fd, line):]
            except BlockingIOError:
                self.loop.turn()
        return number

    def result(self, number, seconds=ANSWER_SECONDS):
        answer = self.loop.wait(lambda: self._answers.get(number), seconds,
                                f"the answer to call {number}")
        del self._answers[number]
        if "error" in answer:
            raise Failure(f"call {number}: {answer['error']}")
        return answer["result"]

    def call(self, method, seconds=ANSWER_SECONDS, **params):
        return self.result(self.send(method, **params), seconds)

    def close(self):
        self._lines.close()
