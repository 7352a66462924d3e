"""The state of an Ollama server: models on disk, models in memory and blobs, and the listings of them.

It does no I/O, and its clock is an argument. ``/api/tags``, ``/api/ps`` and ``/api/show`` list the same
models, so that they always agree.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from trunkline_mock.script import MockModel
from trunkline_mock.shapes.base import Catalog, VendorError

DEFAULT_MODELS: Final = (
    MockModel("llama3.2:latest", ("completion", "tools"), context_length=131_072),
    MockModel("llama2:latest", ("completion",), context_length=4096, size=3_826_793_677, parameter_size="7B"),
    MockModel(
        "qwen3:8b",
        ("completion", "tools", "thinking"),
        context_length=40_960,
        size=5_225_388_164,
        family="qwen3",
        parameter_size="8.2B",
    ),
    MockModel(
        "gemma3:4b",
        ("completion", "vision"),
        context_length=131_072,
        size=3_338_801_804,
        family="gemma3",
        parameter_size="4.3B",
    ),
    MockModel(
        "qwen2.5-coder:latest",
        ("completion", "tools", "insert"),
        context_length=32_768,
        family="qwen2",
        parameter_size="7.6B",
    ),
    MockModel(
        "nomic-embed-text:latest",
        ("embedding",),
        context_length=2048,
        size=274_302_450,
        family="nomic-bert",
        parameter_size="137M",
        quantization="F16",
    ),
)

_NEWEST_MODIFIED_AT: Final = datetime.datetime(2025, 6, 1, 12, tzinfo=datetime.UTC)
_NAME: Final = re.compile(r"[\w.:/@-]+")
_UNLIMITED_STAY: Final = datetime.timedelta(days=365 * 100)


def normalize_name(name: str) -> str:
    """A model's name in lower case and with a tag, so that all its spellings are equal."""
    name = name.lower()
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def check_name(name: str) -> None:
    """Refuse what cannot be a model's name.

    Raises:
        VendorError: 400, in the server's words.
    """
    if not _NAME.fullmatch(name):
        raise VendorError(400, "invalid model name")


def sha256_digest(text: str) -> str:
    """The SHA-256 digest of ``text`` as 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def rfc3339(time: datetime.datetime) -> str:
    """``time`` in Go's notation."""
    return time.isoformat().replace("+00:00", "Z")


class OllamaStore:
    """The models and blobs of one server.

    Args:
        models: The models on disk.
        any_model: Whether names that are not on disk are served.
        list_scripted_names: Whether scripted model names are listed.
        clock: A function that returns the current time.
    """

    def __init__(
        self,
        models: Sequence[MockModel],
        *,
        any_model: bool = False,
        list_scripted_names: bool = False,
        clock: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
    ) -> None:
        self.clock = clock
        self.catalog = Catalog(
            models,
            any_model=any_model,
            list_scripted_names=list_scripted_names,
            normalize=normalize_name,
        )
        self.blobs: dict[str, int] = {}
        """The size of each blob in bytes, by its digest (``sha256:…``)."""
        self._expires: dict[str, datetime.datetime] = {}
        """When each model leaves the memory, by its normalized name."""
        for model in models:
            if model.resident:
                self.load(model.name, -1)

    def require_model(self, name: str) -> MockModel:
        """The model of that name.

        Raises:
            VendorError: Status 404: there is no such model.
        """
        model = self.catalog.find(name)
        if model is None:
            raise VendorError(404, f"model '{name}' not found")
        return model

    def is_resident(self, name: str) -> bool:
        """Whether the model is in memory."""
        expires = self._expires.get(normalize_name(name))
        return expires is not None and expires > self.clock()

    def load(self, name: str, keep_alive_s: float) -> None:
        """Load a model into memory, or prolong its stay there.

        Args:
            name: The model's name.
            keep_alive_s: How many seconds it stays. 0 unloads it; a negative value means without limit.
        """
        if keep_alive_s == 0:
            self._expires.pop(normalize_name(name), None)
            return
        stay = datetime.timedelta(seconds=keep_alive_s) if keep_alive_s > 0 else _UNLIMITED_STAY
        self._expires[normalize_name(name)] = self.clock() + stay

    def tags(self) -> list[dict[str, Any]]:
        """The entries of ``/api/tags``, the newest first."""
        return [
            {
                **_names(model),
                "modified_at": rfc3339(_NEWEST_MODIFIED_AT - datetime.timedelta(hours=index)),
                "size": 384 if model.remote_host else model.size,
                "digest": sha256_digest(normalize_name(model.name)),
                "details": _details(model),
                "capabilities": list(model.capabilities),
                **_remote(model),
            }
            for index, model in enumerate(self.catalog.all())
        ]

    def running(self) -> list[dict[str, Any]]:
        """The entries of ``/api/ps``."""
        return [
            {
                **_names(model),
                "size": model.size,
                "digest": sha256_digest(normalize_name(model.name)),
                "details": _details(model),
                "expires_at": rfc3339(self._expires[normalize_name(model.name)]),
                "size_vram": model.size,
                "context_length": min(model.context_length, 4096),
            }
            for model in self.catalog.all()
            if self.is_resident(model.name)
        ]

    def show(self, name: str) -> dict[str, Any]:
        """The body of ``/api/show``."""
        model = self.require_model(name)
        insert = "{{ if .Suffix }}<PRE> {{ .Prompt }} <SUF>{{ .Suffix }} <MID>{{ else }}" * (
            "insert" in model.capabilities
        )
        template = insert + "{{ .Prompt }}" + "{{ end }}" * bool(insert)
        return {
            "license": "A license of the mock upstream.",
            "modelfile": f"FROM {normalize_name(model.name)}\nTEMPLATE {template}\n",
            "parameters": 'num_keep                       24\nstop                           "<|eot_id|>"',
            "template": template,
            "details": _details(model),
            "model_info": {
                "general.architecture": model.family,
                "general.parameter_count": 3_212_749_888,
                f"{model.family}.context_length": model.context_length,
                f"{model.family}.embedding_length": 3072,
            },
            "capabilities": list(model.capabilities),
            "modified_at": rfc3339(_NEWEST_MODIFIED_AT),
            **_remote(model),
        }

    def copy(self, source: str, destination: str) -> None:
        """Add a copy of a model under another name."""
        self.catalog.add(msgspec.structs.replace(self.require_model(source), name=destination))

    def delete(self, name: str) -> None:
        """Remove a model."""
        if not self.catalog.remove(name):
            raise VendorError(404, f"model '{name}' not found")
        self._expires.pop(normalize_name(name), None)


def _names(model: MockModel) -> dict[str, str]:
    name = model.name if ":" in model.name.rpartition("/")[2] else f"{model.name}:latest"
    return {"name": name, "model": name}


def _details(model: MockModel) -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": "gguf",
        "family": model.family,
        "families": [model.family],
        "parameter_size": model.parameter_size,
        "quantization_level": model.quantization,
    }


def _remote(model: MockModel) -> dict[str, str]:
    if not model.remote_host:
        return {}
    return {"remote_model": model.name.partition(":")[0], "remote_host": model.remote_host}
