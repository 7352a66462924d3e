"""Makes names and ids fit a vendor's rule, each always in the same way.

A name depends only on the one that it stands for and on the names beside it, so that the next turn of a
conversation is sent the same names, and an upstream's prompt cache still fits.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable

from trunkline.dialects.fit.rules import NameRule

_HASH = 8
"""Characters of a hash that make a shortened name unique."""


def fit_names(names: Iterable[str], rule: NameRule) -> dict[str, str]:
    """Return a name that fits for each of ``names`` that does not; no two of all are the same.

    Characters that are not allowed become ``_``. A name that is too long, or would be another's, ends in a
    hash of the whole name.
    """
    known = list(dict.fromkeys(names))
    fits = re.compile(rule.pattern)
    taken = {name for name in known if fits.match(name)}
    wanted = {name: _cleaned(name, rule) for name in known if name not in taken}
    counts = Counter(wanted.values())
    fitted: dict[str, str] = {}
    for name, plain in wanted.items():
        is_free = counts[plain] == 1 and plain not in taken and fits.match(plain) is not None
        fitted[name] = plain if is_free and not rule.exact else _hashed(name, plain, rule, taken)
        taken.add(fitted[name])
    return fitted


def _cleaned(name: str, rule: NameRule) -> str:
    plain = re.sub(f"[^{rule.chars}]", "_" if not rule.exact else "", name)
    if rule.begins and not re.match(f"[{rule.begins}]", plain):
        plain = f"f_{plain}"
    return plain


def _hashed(name: str, plain: str, rule: NameRule, taken: set[str]) -> str:
    """A name with a hash of the whole one; ``plain`` is its beginning, where there is room."""
    salt = 0
    while True:
        digest = hashlib.sha256(f"{salt or ''}{name}".encode("utf-8", "replace")).hexdigest()
        if rule.exact:
            made = digest[: rule.longest]
        else:
            room = None if rule.longest is None else rule.longest - _HASH - 1
            made = f"{plain[:room]}_{digest[:_HASH]}"
        if made not in taken:
            return made
        salt += 1
