"""The units of the package under a real systemd, which runs in the guest with
vub: what they take away is nothing that vub, its sandbox and its broker need,
and what they promise of starts, stops and sockets holds."""

import json
import os

PAGE = os.path.join(os.path.dirname(__file__), "../../../docs/upgrade.md")

CONFIG = {
    "control": "control.sock",
    "sandbox": {"paths": ["/srv/more"]},
    "devices": [
        {"id": "root", "type": "block",
         "store": {"type": "file", "path": "/srv/root.img",
                   "engine": "io_uring"}},
        {"id": "threads", "type": "block",
         "store": {"type": "file", "path": "/srv/threads.img",
                   "engine": "threads"}},
        {"id": "scratch", "type": "block",
         "store": {"type": "memory", "size": "16M"}},
        {"id": "san", "type": "scsi",
         "luns": [{"store": {"type": "memory", "size": "16M"}}]},
        {"id": "keys", "type": "input",
         "source": {"type": "evdev", "path": "/dev/input/event0"}},
        {"id": "screen", "type": "gpu", "display": "headless"},
    ]}

INSTANCE = {
    "runtime_dir": "/run/vub/vm1", "control": "control.sock",
    "devices": [{"id": "root", "type": "block",
                 "store": {"type": "file", "path": "/srv/vm1.img"}}]}

MORE = {"id": "more", "type": "block",
        "store": {"type": "file", "path": "/srv/more/more.img"}}

START = """
export ASAN_OPTIONS=detect_leaks=0 SYSTEMD_COLORS=0 VUB_TEST_TIMEOUT_MS=40000
systemctl() { /tools/systemctl --no-ask-password "$@"; }
ctl() { vub ctl --config /etc/vub/vub.json --json "$@"; }
has() { case $2 in *"$1"*) ;; *) echo "no $1 in $2"; return 1 ;; esac; }
property() { systemctl show -P "$1" "${2:-vub.service}"; }
field() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$(property MainPID)/status"; }

mkdir /srv/more
for name in root threads vm1 more/more; do
    truncate -s 16M /srv/$name.img
done
"""

# Only who starts as root can leave the capabilities of others behind.
AS_ROOT = """
is "bounding set" "$(field CapBnd)" 0000000000000000
"""

# A keyboard that is unplugged, and comes back.
KEYS = """
has '"node":"/dev/input/event0"' "$(ctl status device=keys)"
echo -n serio0 >/sys/bus/serio/drivers/atkbd/unbind
while ! ctl status device=keys | grep -q '"node":null'; do :; done
echo -n serio0 >/sys/bus/serio/drivers/atkbd/bind
while ! ctl status device=keys | grep -q '"node":"/dev/input/event0"'; do :; done
"""

# What is in force, and that what it needs works all the same.
SANDBOX = """
systemctl start vub.service
is "no new privileges" "$(field NoNewPrivs)" 1
is "filter of system calls" "$(field Seccomp)" 2
is "permitted capabilities" "$(field CapPrm)" 0000000000000000
is "user" "$(field Uid | cut -f 1)" "$user"
status=$(ctl status)
for what in '"enabled":true' '"no_new_privs":true' '"capabilities":[]'; do
    has "$what" "$status"
done
has "\\"landlock\\":$landlock," "$status"
guest_disk /run/vub/root.sock /run/vub/threads.sock /run/vub/scratch.sock

# The broker: a device that comes, with a socket, and goes.
ctl device.add 'config=MORE'
guest_disk /run/vub/more.sock
ctl device.remove device=more
[ ! -e /run/vub/more.sock ]
has "the sandbox" "$(ctl device.add 'config=OTHER' 2>&1 || true)"
has "No such file" \\
    "$(ctl gpu.wait device=screen picture=/srv/none.png 2>&1 || true)"

MORE_CHECKS
# The config is read again, by systemd and by us.
systemctl reload vub.service
has '"kept"' "$(ctl config.reload)"
is "state" "$(property ActiveState)" active

systemctl stop vub.service
is "result" "$(property Result)" success
is "sockets that are left" "$(ls /run/vub)" ""
"""

# Sockets that are there before vub and when it dies; a directory per instance.
LIFE = """
systemctl start vub-device@root.socket
is "state" "$(property ActiveState)" inactive
guest_disk /run/vub/root.sock
is "state" "$(property ActiveState)" active
pid=$(property MainPID)
kill -9 "$pid"
guest_disk /run/vub/root.sock /run/vub/scratch.sock
[ "$(property MainPID)" != "$pid" ]
is "restarts" "$(property NRestarts)" 1
systemctl stop vub-device@root.socket vub.service
is "result" "$(property Result)" success

systemctl start vub@vm1.service
guest_disk /run/vub/vm1/root.sock
systemctl stop vub@vm1.service
is "result" "$(property Result vub@vm1.service)" success
[ ! -e /run/vub/vm1 ]
"""

# As docs/upgrade.md has it: a reload starts another process, which takes over.
UPGRADE = """
mkdir -p /etc/systemd/system/vub.service.d
cat >/etc/systemd/system/vub.service.d/upgrade.conf <<'END'
UNIT
END
systemctl daemon-reload
systemctl start vub-device@root.socket vub.service
before=$(property MainPID)
for round in 1 2; do
    old=$(property MainPID)
    systemctl reload vub.service
    is "state" "$(property ActiveState)" active
    [ "$(property MainPID)" != "$old" ]
    [ ! -e "/proc/$old" ]
    has "\\"taken_over\\":{\\"pid\\":$old," "$(ctl status)"
    is "user" "$(field Uid | cut -f 1)" "$user"
    guest_disk /run/vub/root.sock /run/vub/scratch.sock
done

# What cannot be served changes nothing.
old=$(property MainPID)
mv /srv/threads.img /srv/away.img
if systemctl reload vub.service; then exit 1; fi
mv /srv/away.img /srv/threads.img
is "state" "$(property ActiveState)" active
is "process" "$(property MainPID)" "$old"
guest_disk /run/vub/root.sock /run/vub/scratch.sock
is "restarts" "$(property NRestarts)" 0

# systemd knows whom to stop, and what to start when it dies.
kill -9 "$old"
guest_disk /run/vub/root.sock
is "restarts" "$(property NRestarts)" 1
systemctl stop vub-device@root.socket vub.service
is "result" "$(property Result)" success
is "sockets that are left" "$(ls /run/vub)" root.sock # systemd's
rm /etc/systemd/system/vub.service.d/upgrade.conf
systemctl daemon-reload
"""


# What docs/operating.md says can go besides, for a config that wants no device
# of the host. (The console is where its log goes here.)
DROP_IN = """
cat >/etc/systemd/system/vub.service.d/less.conf <<'END'
[Service]
User=vub
Group=vub
DevicePolicy=closed
DeviceAllow=/dev/console w
ProtectHome=yes
PrivateTmp=yes
END
systemctl daemon-reload
"""


def upgrade():
    """By the unit that the page has."""
    with open(PAGE) as f:
        unit = f.read().split("```ini\n")[1].split("```")[0]
    return UPGRADE.replace("UNIT\n", unit)


def put(config, name="vub"):
    return f"cat >/etc/vub/{name}.json <<'END'\n{json.dumps(config)}\nEND\n"


def sandbox(landlock, user=0, more=AS_ROOT + KEYS):
    other = dict(MORE, store=dict(MORE["store"], path="/srv/vm1.img"))
    return f"user={user} landlock={landlock}\n" + SANDBOX.replace(
        "MORE_CHECKS", more).replace("MORE", json.dumps(MORE)).replace(
            "OTHER", json.dumps(other))


def run(rig):
    """Variant "newer": with a kernel whose Landlock knows signals, too."""
    landlock = 6 if rig.variant else 2
    as_user = dict(CONFIG, sandbox=dict(CONFIG["sandbox"], user="vub",
                                        group="vub"))
    plain = dict(CONFIG, devices=[d for d in CONFIG["devices"]
                                  if d["type"] != "input"])
    script = "".join([
        START, put(CONFIG), put(INSTANCE, "vm1"), sandbox(landlock), LIFE,
        upgrade(),
        "chown -R vub:vub /srv /dev/input/event0\n",
        put(as_user), sandbox(landlock, user=990), upgrade(),
        put(plain), DROP_IN, sandbox(landlock, user=990, more="")])
    kit = "systemd-newer" if rig.variant else "systemd"
    guest = rig.guest(script, [], kit=kit, cpus=2, programs=[
        rig.binary, os.path.join(rig.tools, "guest_disk")])
    guest.wait_success(300)
