"""Trunkline inside a Python program, without a server.

- `router` has :class:`LLMRouter`, which routes requests to providers that the program made.
- `registry` has :class:`ProviderRegistry`, the providers that the program knows by name.
"""

from trunkline.embedded.registry import ProviderRegistry, ProviderType
from trunkline.embedded.router import LLMRouter, LoadBalanceStrategy, RouteEndpoint

__all__ = ["LLMRouter", "LoadBalanceStrategy", "ProviderRegistry", "ProviderType", "RouteEndpoint"]
