"""Where the password comes from: a file that only its owner can read, or the environment."""

import os
import stat

from yamori.drivers.vsphere.settings import VSphereSettings
from yamori.model.errors import NotPermitted
from yamori.model.secret import Secret

_MOST_BYTES = 4096


def password(settings: VSphereSettings) -> Secret:
    """Read the password. Raises NotPermitted when it is not there, or when others could read it as well."""
    if settings.password_env is not None:
        told = os.environ.get(settings.password_env)
        if not told:
            raise NotPermitted("there is no password", mend=f"set the variable {settings.password_env}")
        return Secret(told)
    return _from_file(settings.password_file or "")


def _from_file(path: str) -> Secret:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise NotPermitted(
            f"the password file cannot be read: {error.strerror}", mend=f"look at {path} (password_file)"
        ) from error
    try:
        _check(os.fstat(handle), path)
        content = os.read(handle, _MOST_BYTES + 1)
    finally:
        os.close(handle)
    try:
        text = content.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise NotPermitted("the password file is no UTF-8 text", mend=f"look at {path}") from None
    if not text or len(content) > _MOST_BYTES or "\n" in text or "\x00" in text:
        raise NotPermitted("the password file must hold one line, the password", mend=f"look at {path}")
    return Secret(text)


def _check(found: os.stat_result, path: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise NotPermitted("the password file is no ordinary file", mend=f"look at {path} (password_file)")
    if found.st_mode & 0o077:
        raise NotPermitted("others can read the password file", mend=f"chmod 600 {path}")
    if found.st_uid not in (0, os.geteuid()):
        raise NotPermitted("the password file belongs to somebody else", mend=f"chown it: {path}")
