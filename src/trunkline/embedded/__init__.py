"""Trunkline inside a Python program: the gateway's router over a program's own providers, a registry.

``router`` is :class:`LLMRouter`, ``registry`` the providers that a program knows by name.
"""

from trunkline.embedded.registry import ProviderRegistry, ProviderType
from trunkline.embedded.router import LLMRouter, LoadBalanceStrategy, RouteEndpoint

__all__ = ["LLMRouter", "LoadBalanceStrategy", "ProviderRegistry", "ProviderType", "RouteEndpoint"]
