# What the guest of this rig does: it mirrors two disks, writes to them without
# an end and knows what it has written, and is told what has become of its disks
# by md alone. Standard input and output are the scenario's: it waits for lines
# that begin with "==", and says when to go on.

# What md has to say, as it says it: "== md Fail /dev/md0 /dev/vda".
cat >/tools/md-says <<'END'
#!/bin/sh
echo "== md $*" >/dev/ttyS1
END
chmod +x /tools/md-says

mdadm --create /dev/md0 --run --metadata=1.2 --level=1 --bitmap=internal \
    --raid-devices=2 /dev/vda /dev/vdb
mdadm --wait /dev/md0 || true # it fails if there is nothing to wait for
cat /proc/mdstat
mkdir -p /run/mdadm
mdadm --monitor --delay=1 --program=/tools/md-says /dev/md0 &
mkfifo /tmp/commands
guest_steady /dev/md0 </tmp/commands &
load=$!
exec 3>/tmp/commands
tell load

# Lines for the load go to it; the others are for us.
while read -r line; do
    case $line in
        mdstat)
            cat /proc/mdstat
            tell mdstat "$(grep -o '\[[U_]*\]$' /proc/mdstat)"
            ;;
        re-add)
            mdadm --manage /dev/md0 --remove /dev/vda
            mdadm --manage /dev/md0 --re-add /dev/vda
            mdadm --wait /dev/md0 || true
            tell re-added
            ;;
        end)
            echo end >&3
            break
            ;;
        *)
            echo "$line" >&3
            ;;
    esac
done
wait $load
tell load has ended
