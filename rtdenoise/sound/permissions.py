"""Who may read a file: a file that is made from another is for the same people, or for fewer."""

from __future__ import annotations

import os
import stat
import threading
from contextlib import suppress

ACL = "system.posix_acl_access"  # the extended attribute that holds a list of who may do what
_UMASK = threading.Lock()


def take_over(fd: int, name: str, model: os.stat_result, attributes: bool = False) -> int:
    """Give the file *fd* the owner, the group and the access control list of a file.

    Args:
        fd: The file.
        name: Name of the file to take them from.
        model: What `stat` says about that file.
        attributes: Whether the other extended attributes are taken as well.

    Returns:
        The mode bits that *fd* may have, so that nobody reads it who cannot read the other.
    """
    mode = stat.S_IMODE(model.st_mode) & 0o777
    less = mode & ~0o070 | (mode & mode << 3) & 0o070  # the group may what all others may
    if not hasattr(os, "fchown"):
        return mode
    for owner in (model.st_uid, -1):  # only root gives a file away; the group alone may be ours
        with suppress(OSError):
            os.fchown(fd, owner, model.st_gid)
            break
    if os.fstat(fd).st_gid != model.st_gid:
        mode = less
    if hasattr(os, "setxattr"):
        with suppress(OSError):
            os.removexattr(fd, ACL)  # what the folder gives to all its files may be too much
        mine = _attributes(name)
        for key in [k for k in mine if attributes or k == ACL]:
            try:
                os.setxattr(fd, key, mine[key])
            except OSError:
                mode = less if key == ACL else mode  # with a list, the group's bits mean the list
    return mode


def _attributes(name: str) -> dict[str, bytes]:
    """Return the extended attributes of a file, without those that the system itself gives."""
    with suppress(OSError):
        names = [key for key in os.listxattr(name) if not key.startswith("security.")]
        return {key: os.getxattr(name, key) for key in names}
    return {}


def umask() -> int:
    """Return the umask, which is read by setting it: for an instant it is stricter."""
    with _UMASK:
        mask = os.umask(0o077)
        os.umask(mask)
    return mask
