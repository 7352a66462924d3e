"""Who is calling: keys in headers and paths, looked up in memory.

Keys are known by their SHA-256 only. The ring is filled by its owner from records of any store
(:class:`ApiKeyRecord`) and replaced as a whole, so that a revoked key is gone at once. Nothing here knows a
database or an HTTP framework, and no error text repeats a key.
"""

from __future__ import annotations

import re
import time
from fnmatch import fnmatchcase
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING, Final, Literal, Protocol
from urllib.parse import unquote

import msgspec

from trunkline.dialects.base import NO_DEFAULTS, RequestDefaults
from trunkline.errors import INVALID_API_KEY, CallerError, redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pydantic import SecretStr

    from trunkline.settings.sections import KeyPolicy

Role = Literal["admin", "member", "read-only"]
"""An admin may use the admin API, a member may use models, and one who may read only may list them."""


class ApiKey(msgspec.Struct, frozen=True):
    """A key that was recognised. Safe to log."""

    id: str
    name: str
    role: Role
    prefix: str
    """The key's first characters, to tell keys apart; too few to be of use."""
    local_only: bool = False
    """Never use a provider that is not local."""
    priority: Literal["high", "normal", "low"] = "normal"
    """Whose requests go first when they have to wait."""
    team_id: str | None = None
    team_name: str | None = None
    expires_at: float | None = None
    """Unix time; None is never."""
    models: tuple[tuple[str, ...], ...] = ()
    """Sets of patterns, in lower case: a model must match one of each set (the key's, its team's)."""
    providers: tuple[frozenset[str], ...] = ()
    """Sets of names: a provider must be in each."""
    defaults: RequestDefaults = NO_DEFAULTS
    """What is added to its requests."""

    restricted: bool = False
    """It may not use everything, or its requests are added to."""

    def __post_init__(self) -> None:
        bound = bool(self.models or self.providers or self.defaults is not NO_DEFAULTS)
        if bound != self.restricted:
            msgspec.structs.force_setattr(self, "restricted", bound)

    def may_use(self, names: Sequence[str]) -> bool:
        """Whether it may use the model that has these names."""
        return all(
            any(fnmatchcase(name.lower(), pattern) for pattern in patterns for name in names)
            for patterns in self.models
        )

    def may_ask(self, provider: str) -> bool:
        """Whether it may use the provider."""
        return all(provider in names for names in self.providers)


class ApiKeyRecord(Protocol):
    """What a store has to say of a key that may come in."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def role(self) -> Role: ...
    @property
    def prefix(self) -> str: ...
    @property
    def hash(self) -> str:
        """SHA-256 of the key, in hex."""

    @property
    def team_id(self) -> str | None: ...
    @property
    def expires_at(self) -> float | None: ...
    @property
    def models(self) -> tuple[str, ...] | None: ...
    @property
    def providers(self) -> tuple[str, ...] | None: ...
    @property
    def local_only(self) -> bool: ...
    @property
    def priority(self) -> Literal["high", "normal", "low"]: ...
    @property
    def data_collection(self) -> Literal["allow", "deny"] | None: ...
    @property
    def zdr(self) -> bool | None: ...
    @property
    def old_hash(self) -> str | None:
        """The digest before a rotation, which counts until ``old_hash_until``."""

    @property
    def old_hash_until(self) -> float | None: ...


class TeamRecord(Protocol):
    """What a store has to say of a team."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def models(self) -> tuple[str, ...] | None: ...
    @property
    def providers(self) -> tuple[str, ...] | None: ...
    @property
    def local_only(self) -> bool: ...


class KeyRing:
    """The keys that may come in, by the digest of their text: the settings' and the store's."""

    __slots__ = ("_configured", "_keys", "_policies")

    def __init__(
        self,
        configured: Iterable[SecretStr] = (),
        stored: Iterable[ApiKeyRecord] = (),
        policies: Mapping[str, KeyPolicy] | None = None,
        teams: Iterable[TeamRecord] = (),
    ) -> None:
        """:param configured: keys of ALLOWED_API_KEYS. They are members'; an admin's key is a stored one.
        :param policies: what the file says of single keys, by name or id, or place in the settings."""
        self._policies: Mapping[str, KeyPolicy] = {}
        self.reconfigure(configured, stored, policies or {}, teams)

    def reconfigure(
        self,
        configured: Iterable[SecretStr],
        stored: Iterable[ApiKeyRecord],
        policies: Mapping[str, KeyPolicy],
        teams: Iterable[TeamRecord] = (),
    ) -> None:
        """Take other settings' keys and policies, with the store's keys, in one step."""
        self._policies = policies
        self._configured = {}
        for number, text in enumerate(configured, start=1):
            digest, key = _configured_key(text.get_secret_value(), number)
            self._configured[digest] = digest, self._ruled(key, f"env-{number}")
        self.replace(stored, teams)

    def __len__(self) -> int:
        return len(self._keys)

    def replace(self, stored: Iterable[ApiKeyRecord], teams: Iterable[TeamRecord] = ()) -> None:
        """Take these as the store's keys, in place of those before, in one step. The settings' keys stay."""
        by_id = {team.id: team for team in teams}
        keys = self._configured.copy()
        for record in stored:
            key = self._ruled(_stored_key(record, by_id.get(record.team_id or "")))
            digest = bytes.fromhex(record.hash)
            keys[digest] = digest, key
            if record.old_hash is not None and record.old_hash_until is not None:
                until = min(record.old_hash_until, key.expires_at or record.old_hash_until)
                digest = bytes.fromhex(record.old_hash)
                keys[digest] = digest, msgspec.structs.replace(key, expires_at=until)
        self._keys = keys

    def _ruled(self, key: ApiKey, place: str = "") -> ApiKey:
        policies = self._policies
        policy = policies.get(key.name) or policies.get(key.id) or policies.get(place)
        if policy is None:
            return key
        return msgspec.structs.replace(
            key,
            local_only=key.local_only or policy.local_only,
            priority=policy.priority if policy.priority != "normal" else key.priority,
            models=(*key.models, *_patterns(policy.models)),
            providers=(*key.providers, *_names(policy.providers)),
            defaults=_data_policy(policy.data_collection, policy.zdr) or key.defaults,
        )

    def find(self, key: bytes) -> ApiKey | None:
        """The key with this text, if it may come in. Takes the same time wherever a wrong key differs."""
        digest = sha256(key).digest()
        stored, found = self._keys.get(digest, _NOBODY)
        return found if compare_digest(stored, digest) else None


def _stored_key(record: ApiKeyRecord, team: TeamRecord | None) -> ApiKey:
    models, providers = _patterns(record.models), _names(record.providers)
    local_only = record.local_only
    if team is not None:
        models += _patterns(team.models)
        providers += _names(team.providers)
        local_only = local_only or team.local_only
    return ApiKey(
        record.id,
        record.name,
        record.role,
        record.prefix,
        local_only,
        record.priority,
        record.team_id,
        None if team is None else team.name,
        record.expires_at,
        models,
        providers,
        _data_policy(record.data_collection, record.zdr) or NO_DEFAULTS,
    )


def _patterns(patterns: Iterable[str] | None) -> tuple[tuple[str, ...], ...]:
    return (tuple(pattern.lower() for pattern in patterns),) if patterns else ()


def _names(names: Iterable[str] | None) -> tuple[frozenset[str], ...]:
    return (frozenset(names),) if names else ()


def _data_policy(data_collection: str | None, zdr: bool | None) -> RequestDefaults | None:
    """OpenRouter's words for what may happen to a request's data."""
    said = {"data_collection": data_collection, "zdr": zdr}
    wanted = {name: value for name, value in said.items() if value is not None}
    return RequestDefaults(routing=wanted) if wanted else None


def configured_id(key: str) -> str:
    """The id of a key of ALLOWED_API_KEYS: made of the key itself, so that it stays the same wherever the key
    stands, and no other key inherits what is counted under it."""
    return f"env-{sha256(key.encode()).hexdigest()[:8]}"


def configured_ids(keys: Iterable[SecretStr]) -> dict[str, str]:
    """The ids of the keys of ALLOWED_API_KEYS by their places: ``env-1`` is the first, for those who write
    settings."""
    return {f"env-{at}": configured_id(key.get_secret_value()) for at, key in enumerate(keys, start=1)}


def _configured_key(key: str, number: int) -> tuple[bytes, ApiKey]:
    digest = sha256(key.encode()).digest()
    prefix = key[:3] if len(key) > 12 else ""
    return digest, ApiKey(configured_id(key), f"ALLOWED_API_KEYS #{number}", "member", prefix)


_NOBODY: Final[tuple[bytes, ApiKey | None]] = (bytes(32), None)


def authenticate(
    headers: Sequence[tuple[bytes, bytes]],
    keyring: KeyRing,
    required: bool,
    path_key: str | None = None,
) -> ApiKey | None:
    """The caller's key, from ``Authorization: Bearer``, ``X-API-Key``, ``api-key`` or the path.

    A known key among several that were sent is enough. Where no key is required an unknown one is as good
    as none, since many clients cannot send nothing.

    :param headers: names in lower case.
    :param path_key: the key that stood in the path, where that is allowed.
    :returns: None only if ``required`` is false and no known key was sent.
    :raises CallerError: INVALID_API_KEY, which says whether the key is missing, malformed or unknown.
    """
    sent = malformed = expired = False
    for name, value in headers:
        if name not in _KEY_HEADERS:
            continue
        if name == b"authorization":
            if value[:7].lower() != b"bearer " or not (value := value[7:].strip()):
                malformed = True
                continue
        elif not (value := value.strip()):
            continue
        sent = True
        if (found := keyring.find(value)) is not None:
            if not _is_over(found):
                return found
            expired = True
    if path_key:
        sent = True
        if (found := keyring.find(path_key.encode())) is not None:
            if not _is_over(found):
                return found
            expired = True
    if not required:
        return None
    if expired:
        raise CallerError(_EXPIRED, INVALID_API_KEY)
    raise CallerError(_UNKNOWN if sent else _MALFORMED if malformed else _MISSING, INVALID_API_KEY)


def _is_over(key: ApiKey) -> bool:
    return key.expires_at is not None and time.time() >= key.expires_at


_EXPIRED: Final = "Invalid API key: it has expired."
_KEY_HEADERS: Final = frozenset({b"authorization", b"x-api-key", b"api-key"})
_MISSING: Final = "Missing API key. Send it as 'Authorization: Bearer <key>' or 'X-API-Key: <key>'."
_MALFORMED: Final = "Malformed Authorization header. It must read 'Authorization: Bearer <key>'."
_UNKNOWN: Final = "Invalid API key: it is unknown or was revoked."

_KEY_PATH: Final = re.compile(r"(?i)^/+key/+([^/?#]+)")


def split_key_path(path: str) -> tuple[str | None, str]:
    """The key in ``/key/<key>/rest`` and ``/rest``; None and ``path`` itself where there is none."""
    if not path.startswith("/key/"):
        return None, path
    key, slash, rest = path[5:].partition("/")
    return (unquote(key), slash + rest or "/") if key else (None, path)


def redact_path(path: str) -> str:
    """``path`` without a key in it, fit for a log. Hides more than :func:`split_key_path` would take."""
    if "key" not in path.lower() and "gw_" not in path:
        return path
    return redact(_KEY_PATH.sub("/key/***", path))
