"""A small file system of its own, for a trial that fills it. Only this run and what it starts see it, and it goes with them."""

import ctypes
import os
import subprocess

import harness

NEW_MOUNTS = 0x20000
libc = ctypes.CDLL(None, use_errno=True)


def private_mounts():
    """Before any thread or program is started that shall see them. harness.Unavailable: this machine does not allow it."""
    if os.geteuid() != 0:
        raise harness.Unavailable("a small file system can be mounted by root alone")
    if libc.unshare(NEW_MOUNTS):
        raise harness.Unavailable(f"a mount namespace of its own: {os.strerror(ctypes.get_errno())}")
    mount("--make-rprivate", "/")


def mount(*words):
    done = subprocess.run(["mount", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise harness.Unavailable(f"mount: {done.stderr.strip()}")


class Small:
    """A tmpfs over the folder. private_mounts() comes first."""

    def __init__(self, folder, options):
        self.folder = folder
        mount("-t", "tmpfs", "-o", options, "tmpfs", str(folder))

    def fill_bytes(self):
        fill(self.folder / "filler")

    def fill_inodes(self):
        (self.folder / "fillers").mkdir(exist_ok=True)
        try:
            for n in range(100000):
                (self.folder / f"fillers/{n}").touch()
        except OSError:
            pass

    def free(self):
        subprocess.run(["rm", "-rf", str(self.folder / "filler"), str(self.folder / "fillers")], check=True)

    def unmount(self):
        subprocess.run(["umount", "-l", str(self.folder)], check=True)


def fill(path):
    """Until not one byte more goes in: large pieces first."""
    with open(path, "wb", buffering=0) as f:
        for size in (1 << 20, 4096, 1):
            try:
                while f.write(b"x" * size):
                    pass
            except OSError:
                continue
