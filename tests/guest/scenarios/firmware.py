"""SeaBIOS boots from a disk of vub: its own driver reads the boot sector,
which has it read and write more of the disk."""

from rig import bootsector
from rig.image import MIB
from rig.rig import block

SECTOR = bootsector.SECTOR
TEXT = "a boot sector from a disk of vub\n" + "0123456789abcdef" * 32 + "\n"


def run(rig):
    image = rig.image(size=MIB)
    with open(image.path, "r+b") as f:
        f.write(bootsector.make(TEXT))
    vub = rig.vub(block(image))
    firmware = rig.qemu([rig.disk(vub, bootindex=0)])
    firmware.wait_console("written")
    for line in TEXT.splitlines():
        assert firmware.console.seen(line), line
    assert image.read(8 * SECTOR, 2 * SECTOR) == \
        TEXT.encode().ljust(2 * SECTOR, b"\0")
    firmware.quit()
