# What the guest of this rig does: it asks questions on its text console, as
# installers do, and writes the answers to a disk. On standard output it says
# only which page it shows; nobody has to read that.
export TERM=linux TERMINFO=/lib/terminfo
TITLE='A small installer'

# page NAME OPTION...: one of whiptail's, on the console; sets `answer`.
page() {
    tell page "$1"
    shift
    answer=$(whiptail --backtitle "$TITLE" "$@" 2>&1 >/dev/tty1 </dev/tty1)
}

# The time of day, in the corner, as screens have it: straight into the
# console's memory, so that it comes between no two bytes of whiptail's.
clock() {
    columns=$(stty size </dev/tty1 | cut -d ' ' -f 2)
    until [ -e /tmp/no-clock ]; do
        sleep 1
        date +%H:%M:%S | tr -d '\n' |
            dd of=/dev/vcs1 bs=1 seek=$((columns - 8)) conv=notrunc 2>/dev/null
    done
}

size() {
    echo "$(($(cat /sys/block/$1/size) >> 11)) MiB, $(cat /sys/block/$1/serial)"
}

# Each step says how much is done when it begins.
install_to() {
    echo 0
    mkfs.ext4 -q -F -O ^has_journal "$1" >/dev/null
    echo 30
    mount -t ext4 "$1" /mnt
    mkdir /mnt/etc
    echo "$name" >/mnt/etc/hostname
    echo "LANG=$language" >/mnt/etc/locale.conf
    echo 60
    dd if=/dev/zero bs=1M count=8 2>/dev/null | tr '\0' v >/mnt/payload
    sync
    echo 90
    umount /mnt
    # It stays until a key says that somebody has seen it.
    printf 'XXX\n100\nAll is written. Press a key.\nXXX\n'
    tell page full >/dev/ttyS1
    dd bs=1 count=1 </dev/tty1 >/dev/null 2>&1
}

# With "still" on the kernel's command line nothing moves: for pictures.json.
case "$(cat /proc/cmdline)" in
    *" still"*)
        touch /tmp/no-clock
        echo 0 >/sys/class/graphics/fbcon/cursor_blink
        ;;
esac
clock &
clock=$!

page language --title ' Language ' --menu 'Which language do you speak?' \
    13 50 5 C English de_DE Deutsch fr_FR Francais it_IT Italiano \
    es_ES Espanol
language=$answer

page disk --title ' Disk ' --radiolist \
    'Which disk may be overwritten?' 10 50 2 \
    vda "$(size vda)" on vdb "$(size vdb)" off
disk=$answer

page name --title ' Host name ' --inputbox \
    'What is this machine to be called?' 9 50 localhost
name=$answer

page sure --title ' Ready ' --yes-button Install --no-button 'Rather not' \
    --yesno "Language:   $language
Disk:       $disk
Host name:  $name

All that is on $disk will be lost." 12 50

tell page progress
# It reads how far it is from its standard input, and wants a terminal beside:
# the first that its session opens.
install_to /dev/$disk |
    setsid sh -c 'exec 3<>/dev/tty1 >&3 && exec whiptail "$@"' whiptail \
        --backtitle "$TITLE" --title ' Installing ' \
        --gauge "Writing to $disk ..." 7 50 0
touch /tmp/no-clock
wait $clock
printf '\033[0;37;44m\033[2J\033[?25l\033[1;1H%s\033[12;20H%s\033[14;20H%s' \
    "$TITLE" "$name is installed on $disk." \
    'Take the medium out, and restart.' >/dev/tty1
tell page done
guest_button 17 32 '    Restart    ' >/dev/tty1 </dev/tty1
printf '\033[0m\033[2J\033[H%s' 'Press Enter to switch the machine off.' \
    >/dev/tty1
tell page off
read -r _ </dev/tty1
