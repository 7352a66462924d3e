"""Authentication: API keys in headers and paths, looked up in memory.

Only the SHA-256 of a key is kept. The key ring is filled by its owner from the records of any store
(:class:`ApiKeyRecord`) and replaced as a whole, so that a revoked key is rejected at once. Nothing here knows
a database or an HTTP framework, and no error text repeats a key.
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
from trunkline.errors import INVALID_API_KEY, CallerError, redact, redact_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pydantic import SecretStr

    from trunkline.settings.sections import KeyPolicy

Role = Literal["admin", "member", "read-only"]
"""An admin may use the admin API, a member may use models, and a read-only key may only list them."""


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that was recognised. It is safe to log."""

    id: str
    name: str
    role: Role
    prefix: str
    """The key's first characters, to tell keys apart; too few to be of use."""
    local_only: bool = False
    """Whether never to use a provider that is not local."""
    priority: Literal["high", "normal", "low"] = "normal"
    """The priority of its requests when they have to wait."""
    team_id: str | None = None
    team_name: str | None = None
    expires_at: float | None = None
    """Unix time; None is never."""
    models: tuple[tuple[str, ...], ...] = ()
    """Sets of patterns, in lower case: a model must match one pattern of each set (the key's, its team's)."""
    providers: tuple[frozenset[str], ...] = ()
    """Sets of names: a provider must be in each set."""
    defaults: RequestDefaults = NO_DEFAULTS
    """What is added to its requests."""

    restricted: bool = False
    """Whether it may not use everything, or something is added to its requests; computed from the fields."""

    def __post_init__(self) -> None:
        restricted = bool(self.models or self.providers or self.defaults is not NO_DEFAULTS)
        if restricted != self.restricted:
            msgspec.structs.force_setattr(self, "restricted", restricted)

    def allows_model(self, names: Sequence[str]) -> bool:
        """Whether it may use the model that has these names."""
        return all(
            any(fnmatchcase(name.lower(), pattern) for pattern in patterns for name in names)
            for patterns in self.models
        )

    def may_ask(self, name: str, provider: str, model: str) -> bool:
        """Whether it may ask a provider for a model.

        Args:
            name: the model's name as the client wrote it, or would write it.
            provider: the provider's name.
            model: the model's name there.
        """
        return self.allows_provider(provider) and self.allows_model(model_names(name, provider, model))

    def allows_provider(self, provider: str) -> bool:
        """Whether it may use the provider."""
        return all(provider in names for names in self.providers)

    def may_name(self, names: Sequence[str], providers: Iterable[str]) -> bool:
        """Whether it may use a model that no provider lists, if one of ``providers`` had it.

        Args:
            names: the model's, without a provider's prefix as well as with it.
            providers: those that may get the model.
        """
        allowed = [provider for provider in providers if self.allows_provider(provider)]
        at_providers = [f"{provider}/{name}" for provider in allowed for name in names]
        return bool(allowed) and self.allows_model((*names, *at_providers))


class UsedProvider(Protocol):
    """A provider, as far as a key's rules look at it."""

    @property
    def name(self) -> str: ...
    @property
    def local(self) -> bool: ...


def may_reach(key: ApiKey | None, provider: UsedProvider) -> bool:
    """Whether a caller may have anything sent to a provider; everybody, where no key is asked for."""
    return key is None or (key.allows_provider(provider.name) and (provider.local or not key.local_only))


def may_use(key: ApiKey | None, name: str, provider: UsedProvider, model: str) -> bool:
    """Whether a caller may use a model of a provider, or be told of it.

    Args:
        key: the caller's; None where none is asked for.
        name: the model's name as the client wrote it, or would write it.
        provider: the provider.
        model: the model's name there.
    """
    return key is None or (key.may_ask(name, provider.name, model) and (provider.local or not key.local_only))


def model_names(name: str, provider: str, model: str) -> tuple[str, ...]:
    """All names that rules may use for a model.

    Args:
        name: as the client wrote it.
        provider: the provider's name.
        model: the model's name there.
    """
    written = (name, model, f"{provider}/{model}", f"{provider}:{model}")
    if name.endswith(_DEFAULT_TAG) or model.endswith(_DEFAULT_TAG):
        return (*written, *(each.removesuffix(_DEFAULT_TAG) for each in written))
    return written


_DEFAULT_TAG: Final = ":latest"
"""What Ollama's names end in where no tag is written: the same model without it."""


class ApiKeyRecord(Protocol):
    """What a store knows of a key that is valid."""

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
        """The hash of the key before its rotation, which is valid until ``old_hash_until``."""

    @property
    def old_hash_until(self) -> float | None: ...


class TeamRecord(Protocol):
    """What a store knows of a team."""

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
    """The valid keys of the settings and the store, by the SHA-256 of their text."""

    __slots__ = ("_configured", "_keys", "_policies", "generation")

    generation: object
    """Another one whenever the keys were replaced: what was found in the ring holds as long as it stays."""

    def __init__(
        self,
        configured: Iterable[SecretStr] = (),
        stored: Iterable[ApiKeyRecord] = (),
        policies: Mapping[str, KeyPolicy] | None = None,
        teams: Iterable[TeamRecord] = (),
    ) -> None:
        """
        Args:
            configured: the keys of ALLOWED_API_KEYS. Their role is member; an admin's key is a stored one.
            stored: the store's keys.
            policies: what the settings file says of single keys, by name or id, or by ``env-N`` for the N-th
                of ALLOWED_API_KEYS.
            teams: the store's teams.
        """
        self._policies: Mapping[str, KeyPolicy] = {}
        self.reconfigure(configured, stored, policies or {}, teams)

    def reconfigure(
        self,
        configured: Iterable[SecretStr],
        stored: Iterable[ApiKeyRecord],
        policies: Mapping[str, KeyPolicy],
        teams: Iterable[TeamRecord] = (),
    ) -> None:
        """Use other keys and policies of the settings, with the store's keys, in one step."""
        self._policies = policies
        self._configured = {}
        for number, text in enumerate(configured, start=1):
            digest, key = _configured_key(text.get_secret_value(), number)
            self._configured[digest] = digest, self._with_policy(key, f"env-{number}")
        self.replace(stored, teams)

    def replace(self, stored: Iterable[ApiKeyRecord], teams: Iterable[TeamRecord] = ()) -> None:
        """Replace the store's keys in one step. The settings' keys stay."""
        by_id = {team.id: team for team in teams}
        keys = self._configured.copy()
        for record in stored:
            key = self._with_policy(_stored_key(record, by_id.get(record.team_id or "")))
            digest = bytes.fromhex(record.hash)
            keys[digest] = digest, key
            if record.old_hash is not None and record.old_hash_until is not None:
                until = min(record.old_hash_until, key.expires_at or record.old_hash_until)
                digest = bytes.fromhex(record.old_hash)
                keys[digest] = digest, msgspec.structs.replace(key, expires_at=until)
        self._keys = keys
        self.generation = object()

    def _with_policy(self, key: ApiKey, position: str = "") -> ApiKey:
        """The key with what the settings file says of it, by its name, id or position."""
        policies = self._policies
        policy = policies.get(key.name) or policies.get(key.id) or policies.get(position)
        if policy is None:
            return key
        return msgspec.structs.replace(
            key,
            local_only=key.local_only or policy.local_only,
            priority=policy.priority if policy.priority != "normal" else key.priority,
            models=(*key.models, *_pattern_sets(policy.models)),
            providers=(*key.providers, *_name_sets(policy.providers)),
            defaults=_data_policy_defaults(policy.data_collection, policy.zdr) or key.defaults,
        )

    def redact(self, text: str) -> str:
        """``text`` without keys: whatever has the form of one, and these keys whatever their form."""
        text = redact_keys(text)
        parts = _BETWEEN.split(text)
        if not any(len(part) >= _SHORTEST and self.find(part.encode("utf-8", "replace")) for part in parts):
            return text
        return "".join("***" if self.find(part.encode("utf-8", "replace")) else part for part in parts)

    def find(self, key: bytes) -> ApiKey | None:
        """The key with this text, if it is valid. The time does not depend on where a wrong key differs."""
        digest = sha256(key).digest()
        stored, found = self._keys.get(digest, _NO_KEY)
        return found if compare_digest(stored, digest) else None


def _stored_key(record: ApiKeyRecord, team: TeamRecord | None) -> ApiKey:
    models, providers = _pattern_sets(record.models), _name_sets(record.providers)
    local_only = record.local_only
    if team is not None:
        models += _pattern_sets(team.models)
        providers += _name_sets(team.providers)
        local_only = local_only or team.local_only
    return ApiKey(
        id=record.id,
        name=record.name,
        role=record.role,
        prefix=record.prefix,
        local_only=local_only,
        priority=record.priority,
        team_id=record.team_id,
        team_name=None if team is None else team.name,
        expires_at=record.expires_at,
        models=models,
        providers=providers,
        defaults=_data_policy_defaults(record.data_collection, record.zdr) or NO_DEFAULTS,
    )


def _pattern_sets(patterns: Iterable[str] | None) -> tuple[tuple[str, ...], ...]:
    return (tuple(pattern.lower() for pattern in patterns),) if patterns else ()


def _name_sets(names: Iterable[str] | None) -> tuple[frozenset[str], ...]:
    return (frozenset(names),) if names else ()


def _data_policy_defaults(data_collection: str | None, zdr: bool | None) -> RequestDefaults | None:
    """Request defaults with OpenRouter's fields for what may happen to a request's data."""
    fields = {"data_collection": data_collection, "zdr": zdr}
    routing = {name: value for name, value in fields.items() if value is not None}
    return RequestDefaults(routing=routing) if routing else None


def configured_id(key: str) -> str:
    """The id of a key of ALLOWED_API_KEYS.

    It is derived from the key itself, so that it does not depend on the key's position, and no other key
    inherits what is counted under it.
    """
    return f"env-{sha256(key.encode()).hexdigest()[:8]}"


def configured_ids(keys: Iterable[SecretStr]) -> dict[str, str]:
    """The ids of the keys of ALLOWED_API_KEYS by position, as settings name them: ``env-1`` is the first."""
    return {
        f"env-{number}": configured_id(key.get_secret_value()) for number, key in enumerate(keys, start=1)
    }


def _configured_key(key: str, number: int) -> tuple[bytes, ApiKey]:
    digest = sha256(key.encode()).digest()
    prefix = key[:3] if len(key) > 12 else ""
    return digest, ApiKey(
        id=configured_id(key), name=f"ALLOWED_API_KEYS #{number}", role="member", prefix=prefix
    )


_BETWEEN: Final = re.compile(r"([/:?&=,;|@\s]+)")
"""What may stand around a key in a name, a path or a query."""
_SHORTEST: Final = 6
_NO_KEY: Final[tuple[bytes, ApiKey | None]] = (bytes(32), None)


def authenticate(
    headers: Sequence[tuple[bytes, bytes]],
    keyring: KeyRing,
    required: bool,
    path_key: str | None = None,
) -> ApiKey | None:
    """The caller's key, from ``Authorization: Bearer``, ``X-API-Key``, ``api-key`` or the path.

    One known key among several that were sent is enough. Where no key is required, an unknown key is treated
    as none, because many clients always send one.

    Args:
        headers: the request's headers, with names in lower case.
        keyring: the valid keys.
        required: whether a valid key is required.
        path_key: the key in the request's path, where that is allowed.

    Returns:
        None only if ``required`` is false and no valid key was sent.

    Raises:
        CallerError: INVALID_API_KEY; the text says whether the key is missing, malformed, expired or unknown.
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
            if not is_expired(found):
                return found
            expired = True
    if path_key:
        sent = True
        if (found := keyring.find(path_key.encode())) is not None:
            if not is_expired(found):
                return found
            expired = True
    if not required:
        return None
    if expired:
        raise CallerError(_EXPIRED, INVALID_API_KEY)
    raise CallerError(_UNKNOWN if sent else _MALFORMED if malformed else _MISSING, INVALID_API_KEY)


def is_expired(key: ApiKey) -> bool:
    """Whether the key was valid until some time ago."""
    return key.expires_at is not None and time.time() >= key.expires_at


_EXPIRED: Final = "Invalid API key: it has expired."
_KEY_HEADERS: Final = frozenset({b"authorization", b"x-api-key", b"api-key"})
_MISSING: Final = "Missing API key. Send it as 'Authorization: Bearer <key>' or 'X-API-Key: <key>'."
_MALFORMED: Final = "Malformed Authorization header. It must read 'Authorization: Bearer <key>'."
_UNKNOWN: Final = "Invalid API key: it is unknown or was revoked."

_KEY_PATH: Final = re.compile(r"(?i)^/+key/+([^/?#]+)")


def split_key_path(path: str) -> tuple[str | None, str]:
    """Split ``/key/<key>/rest`` into the key and ``/rest``; without a key, into None and ``path`` itself."""
    if not path.startswith("/key/"):
        return None, path
    key, slash, rest = path[5:].partition("/")
    return (unquote(key), slash + rest or "/") if key else (None, path)


def redact_path(path: str) -> str:
    """``path`` without a key in it, fit for a log. It hides more than :func:`split_key_path` recognises."""
    if "key" not in path.lower() and "gw_" not in path:
        return redact_keys(path)
    return redact(_KEY_PATH.sub("/key/***", path))
