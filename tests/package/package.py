#!/usr/bin/env python3
"""package.py SOURCE BUILD: builds the Debian package in the directory BUILD,
and looks at what is in it and at what is installed without it."""

import glob
import gzip
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE, BUILD = map(os.path.abspath, sys.argv[1:3])
MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine)

WANTED = """
usr/bin/vub
usr/lib/systemd/system/vub.service
usr/lib/systemd/system/vub@.service
usr/lib/systemd/system/vub-device@.socket
usr/share/doc/vub/changelog.gz
usr/share/doc/vub/changelog.Debian.gz
usr/share/doc/vub/copyright
usr/share/doc/vub/control.md
usr/share/doc/vub/examples/demo.json
usr/share/doc/vub/examples/rigs/README.md
usr/share/doc/vub/examples/rigs/installer/devices.json
usr/share/doc/vub/examples/rigs/installer/guest.sh
usr/share/doc/vub/examples/rigs/installer/language.png
usr/share/doc/vub/examples/vub.schema.json
usr/share/man/man1/vub.1.gz
usr/share/man/man1/vub-ctl.1.gz
usr/share/man/man5/vub.json.5.gz
usr/share/vub/scenario.schema.json
usr/share/vub/vub.schema.json
""".split()


def do(*command, **kwargs):
    """The output of a command that must end well."""
    done = subprocess.run(command, text=True, capture_output=True, **kwargs)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: status {done.returncode}\n"
                 f"{done.stdout}{done.stderr}")
    return done.stdout


def configure(prefix):
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    do("cmake", "-S", SOURCE, "-B", BUILD, *generator, "-DVUB_TESTS=OFF",
       "-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_INSTALL_PREFIX={prefix}")


def cpack():
    return subprocess.run(["cpack", "-G", "DEB"], cwd=BUILD, text=True,
                          capture_output=True)


def deb():
    return glob.glob(f"{BUILD}/vub_*.deb")[0]


def field(name):
    return do("dpkg-deb", "-f", deb(), name).strip()


def knows(*args, name="vub"):
    """Does the program, by this name, know that?"""
    os.symlink(f"{BUILD}/src/vub", name)
    done = subprocess.run([f"./{name}", *args], capture_output=True)
    os.unlink(name)
    return done.returncode == 0


def asked_for():
    """What the program knows of how it is used."""
    paths = {"bash": "bash-completion/completions/vub",
             "zsh": "zsh/vendor-completions/_vub",
             "fish": "fish/vendor_completions.d/vub.fish"}
    wanted = [f"usr/share/{path}" for shell, path in paths.items()
              if knows("--print-completion", shell)]
    for kind in ("block", "scsi", "input", "gpu"):
        if knows("--print-capabilities", name=f"vub-{kind}"):
            wanted.append(f"usr/bin/vub-{kind}")
    return wanted


# ---- the tests, in this order ----

def a_prefix_is_told_to_the_units_and_is_no_package():
    configure("/opt/vub")
    for name in ("vub.service", "vub@.service"):
        text = pathlib.Path(BUILD, "packaging", name).read_text()
        assert "ExecStart=/opt/vub/bin/vub --config /etc/vub/" in text, text
    done = cpack()
    assert done.returncode != 0 and "PREFIX=/usr" in done.stderr, done


def it_is_built():
    configure("/usr")
    do("cmake", "--build", BUILD, "--parallel",
       os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", "2"))
    if not shutil.which("dpkg-shlibdeps"):
        return "this is no Debian: there is no dpkg-shlibdeps"
    for old in glob.glob(f"{BUILD}/vub_*.deb"):
        os.unlink(old)
    done = cpack()
    assert done.returncode == 0, done
    return None


def it_says_what_it_is_and_needs():
    assert field("Package") == "vub"
    if MACHINE:
        assert field("Architecture") == MACHINE
    version = re.search(r"project\(vub VERSION (\S+)",
                        pathlib.Path(SOURCE, "CMakeLists.txt").read_text())[1]
    assert field("Version").startswith(version + "-"), field("Version")
    needed = field("Depends")
    for library in ("libc6", "libuv1", "libcjson1"):
        assert library in needed, (library, needed)
    wanted = field("Recommends")
    for library in ("libevdev2", "libiscsi", "libpixman-1-0", "libyaml-0-2",
                    "libpng16"):
        assert library not in needed, (library, needed)
        assert re.search(rf"\b{library}\S* \(>= [0-9.]+\)", wanted), wanted
    assert "asan" not in needed, needed


def it_has_all_files_and_no_config():
    lines = do("dpkg-deb", "-c", deb()).splitlines()
    files = {}
    for line in lines:
        mode, owner = line.split()[:2]
        path = line.split(" ./", 1)[1].split(" -> ")[0]
        assert owner == "root/root", line
        assert mode[0] == "l" or mode[8] != "w", line
        if mode[0] != "d":
            files[path] = mode
    missing = [path for path in WANTED if path not in files]
    assert not missing, missing
    outside = [path for path in files if not path.startswith("usr/")]
    assert not outside, outside
    programs = [path for path, mode in files.items()
                if mode[0] == "-" and "x" in mode]
    assert programs == ["usr/bin/vub"], programs
    missing = [path for path in asked_for() if path not in files]
    assert not missing, missing
    documents = {os.path.basename(path)
                 for path in glob.glob(f"{SOURCE}/docs/*.md")}
    assert documents <= {os.path.basename(path) for path in files}


def lintian_has_nothing_to_say():
    if not shutil.which("lintian"):
        return "there is no lintian"
    do("lintian", "--allow-root", "--fail-on", "error,warning",
       deb())
    return None


def what_is_installed_runs():
    do("cmake", "--install", BUILD, env=dict(os.environ, DESTDIR=os.getcwd()))
    program = os.path.abspath("usr/bin/vub")
    assert do(program, "--version").startswith("vub "), program
    examples = [path for path in glob.glob("usr/share/doc/vub/examples/*.json")
                if not path.endswith(".schema.json")]
    assert len(examples) >= 8, examples
    examples += glob.glob("usr/share/doc/vub/examples/rigs/*/devices.json")
    for path in examples:
        do(program, "--config", path, "--check")
        with open(path) as f:
            schema = json.load(f)["$schema"]
        assert os.path.exists(os.path.join(os.path.dirname(path), schema))
    for path in WANTED + asked_for():
        assert os.path.exists(path), path
    for path in glob.glob("usr/share/qemu/vhost-user/*.json"):
        with open(path) as f:
            binary = json.load(f)["binary"]
        assert os.path.exists("." + binary), (path, binary)


def pages_are_good_and_name_pages_that_are_there():
    do("cmake", "--install", BUILD, env=dict(os.environ, DESTDIR=os.getcwd()))
    pages = glob.glob("usr/share/man/man?/*.gz")
    ours = {os.path.basename(path)[:-3] for path in pages}
    named = set()
    for path in pages:
        with gzip.open(path, "rt") as f:
            text = f.read()
        named |= {f"{name}.{section}".replace("\\-", "-") for name, section in
                  re.findall(r"^\.Xr (\S+) (\d)", text, re.M)
                  if name.startswith("vub")}
        if shutil.which("groff"):
            done = subprocess.run(["groff", "-mandoc", "-wall", "-Tutf8", "-z"],
                                  input=text, text=True, capture_output=True)
            assert done.returncode == 0 and not done.stderr, (path, done.stderr)
    for path in glob.glob("usr/lib/systemd/system/*"):
        named |= {f"{name}.{section}" for name, section in
                  re.findall(r"man:(\S+)\((\d)\)",
                             pathlib.Path(path).read_text())}
    assert named and named <= ours, (named, ours)
    return None if shutil.which("groff") else "there is no groff"


TESTS = [
    a_prefix_is_told_to_the_units_and_is_no_package,
    it_is_built,
    it_says_what_it_is_and_needs,
    it_has_all_files_and_no_config,
    lintian_has_nothing_to_say,
    what_is_installed_runs,
    pages_are_good_and_name_pages_that_are_there,
]
NEED_DEB = TESTS[2:5]


def main():
    built = True
    for test in TESTS:
        if test in NEED_DEB and not built:
            continue
        with tempfile.TemporaryDirectory() as directory:
            os.chdir(directory)
            skipped = test()
            os.chdir("/")
        if test is it_is_built:
            built = not skipped
        # The form is that of cmocka: scripts/test counts what was left out.
        print(f"[  SKIPPED ] {test.__name__}: {skipped}" if skipped
              else f"{test.__name__}: ok", flush=True)


main()
