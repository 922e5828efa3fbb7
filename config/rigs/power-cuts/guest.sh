# What the guest does: the scenario writes a word on its serial port, and reads
# there what came of it.
#
#   round  writes, until the power is gone; then nothing of this machine writes
#          any more, and nothing remembers what was on the disk
#   power  it is back: the journal is recovered, what was acknowledged is
#          looked for, and e2fsck looks at the rest
#   end
number=0
acknowledged=/tmp/acknowledged

mkfs.ext4 -q -b 4096 /dev/vda  # as large disks have it
mount -t ext4 /dev/vda /mnt
sync
tell ready

round() {
    number=$((number + 1))
    guest_records write /mnt/round-$number $number \
        $((5 + number * 37 % 60)) $acknowledged
    # Of a machine without power nothing is written.
    guest_records down /mnt
    umount /mnt
    blockdev --flushbufs /dev/vda
    echo 3 >/proc/sys/vm/drop_caches
    tell dark
}

# lost WHAT: and what the kernel says of it.
lost() {
    dmesg | tail -n 5
    tell lost "$*"
    return 1
}

power() {
    mount -t ext4 /dev/vda /mnt || lost everything: it cannot be mounted
    guest_records check $acknowledged
    umount /mnt
    e2fsck -fn /dev/vda >/tmp/e2fsck 2>&1 || {
        cat /tmp/e2fsck
        lost the form: e2fsck finds errors
    }
    mount -t ext4 /dev/vda /mnt
    tell whole $number
}

while read -r word; do
    case $word in
        round) round ;;
        power) power ;;
        end) break ;;
    esac
done
umount /mnt
