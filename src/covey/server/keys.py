"""Who may ask: API keys, and the admin's.

Keys are kept as digests and compared in constant time. Knows nothing of HTTP but the Authorization header's form.

    keys = Keys.read(config, secrets()); keys.caller("Bearer ...")
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path

from covey.config import ConfigError, Secrets, ServerConfig

_SHORTEST = 16


@dataclass(frozen=True)
class Caller:
    """Whoever sent a request: the name of the key. What is kept of texts is kept by it, and places are shared out by it."""

    name: str


ANYONE = Caller("anyone")


class Keys:
    """The keys of one server. keys: name -> key. Without any, everybody may ask; without an admin key, nobody is admin."""

    def __init__(self, keys: dict[str, str], admin: str | None = None) -> None:
        self._digests = {Caller(name): _digest(key) for name, key in keys.items()}
        self._admin = None if admin is None else _digest(admin)

    @classmethod
    def read(cls, config: ServerConfig, secrets: Secrets) -> Keys:
        """From the keys file and the environment. Raises ConfigError, which never holds a key."""
        found: dict[str, str] = {}
        if config.keys_file is not None:
            found |= _from_file(config.keys_file)
        found |= {f"environment-{number}": key for number, key in enumerate(secrets.api_keys, 1)}
        for name, key in found.items():
            _check(name, key)
        if secrets.admin_key is not None:
            _check("admin", secrets.admin_key)
        if len(set(found.values()) | {secrets.admin_key}) <= len(found):
            raise ConfigError("keys: two of them are the same; each needs one of its own, the admin too")
        return cls(found, secrets.admin_key)

    @property
    def required(self) -> bool:
        return bool(self._digests)

    @property
    def has_admin(self) -> bool:
        return self._admin is not None

    def caller(self, authorization: str | None) -> Caller | None:
        """Whose key this is; None for nobody's. Every key is compared, whichever it is."""
        if not self._digests:
            return ANYONE
        given, known = _digest(_bearer(authorization)), None
        for caller, digest in self._digests.items():
            if hmac.compare_digest(given, digest):
                known = caller
        return known

    def is_admin(self, authorization: str | None) -> bool:
        return self._admin is not None and hmac.compare_digest(_digest(_bearer(authorization)), self._admin)


def _bearer(authorization: str | None) -> str:
    scheme, _, key = (authorization or "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _check(name: str, key: str) -> None:
    if len(key) < _SHORTEST or not key.isascii() or not key.isprintable() or " " in key:
        why = f"keys: {name} is no key: it must have at least {_SHORTEST} printable ASCII characters and no spaces"
        raise ConfigError(f'{why}; make one with python -c "import secrets; print(secrets.token_urlsafe(32))"')


def _from_file(place: Path) -> dict[str, str]:
    """A key on each line, with a name before it if wanted; # begins a comment."""
    try:
        lines = place.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror.lower() if isinstance(error, OSError) and error.strerror else "it is not text"
        raise ConfigError(f"keys_file={str(place)!r}: {why}; name a file with a key on each line") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        name = words[0] if len(words) == 2 else f"key-{number}"
        if len(words) > 2 or name in found:
            why = f"line {number} has {len(words)} words" if len(words) > 2 else f"line {number} has the name of another key"
            raise ConfigError(f"keys_file={str(place)!r}: {why}; write a name and a key, or a key")
        found[name] = words[-1]
    if not found:
        raise ConfigError(f"keys_file={str(place)!r}: it holds no key; write one, or leave keys_file out")
    return found
