"""A GPU's screen, seen from both sides: by vub's own commands, and by QEMU,
which is sent the same picture over the display socket."""

from .loop import Failure
from . import picture

WAIT_MS = 60000
DUMP_SECONDS = 30  # for QEMU to have got what vub shows


def gpu(id="screen", **keys):
    """A GPU of the config."""
    return {"id": id, "type": "gpu", **keys}


class Screen:
    """guest: the QEMU that it is in; None: it is headless."""

    def __init__(self, rig, control, guest=None, device="screen"):
        self._rig = rig
        self._control = control
        self._guest = guest
        self._device = device
        self._files = 0

    def _path(self, ending):
        self._files += 1
        return self._rig.path(f"picture{self._files}.{ending}")

    def call(self, method, **params):
        return self._control.call("gpu." + method, device=self._device,
                                  **params)

    def wait(self, **params):
        """gpu.wait, which tells more than that it waited in vain."""
        return self.call("wait", seconds=2 * WAIT_MS / 1000,
                         timeout_ms=WAIT_MS, **params)

    def shot(self, cursor=False, format="png"):
        path = self._path(format)
        self.call("screenshot", path=path, cursor=cursor)
        return picture.read(path)

    def need(self, wanted, what, cursor=False):
        """Both sides show exactly this picture, or come to."""
        path = self._path("png")
        wanted.write_png(path)
        try:
            self.wait(picture=path, cursor=cursor)
        except Failure as failure:
            raise Failure(f"{what}: {failure}: "
                          f"{wanted.difference(self.shot(cursor))}") from None
        if wanted.difference(self.shot(cursor)):
            raise Failure(f"{what}: {wanted.difference(self.shot(cursor))}")
        if self._guest and not cursor:
            self.need_dump(wanted, what)
        self._rig.note(f"{what}: {wanted.size}, every pixel as wanted")

    def need_dump(self, wanted, what):
        """QEMU tells of a new picture by nothing that could be waited for: it
        is asked until it has it."""
        path = self._path("ppm")
        end = self._rig.loop.elapsed() + DUMP_SECONDS
        while True:
            difference = wanted.difference(self._guest.screendump(path))
            if not difference:
                return
            if self._rig.loop.elapsed() > end:
                raise Failure(f"{what}: QEMU shows something else: "
                              f"{difference}")
