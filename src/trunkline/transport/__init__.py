"""A pooled HTTP/1.1 client for a gateway: bytes to upstreams and back, by callbacks.

``Client.send(request, sink)`` returns an :class:`InFlightRequest`; the :class:`Sink` is called as the
response arrives. Failures are :class:`TransportError`. The transport knows connections, timeouts, TLS and
proxies, and nothing of providers, dialects or models.

``client`` acts on the decisions of a ``host_pool``. ``request`` and ``failures`` hold values; ``states``
has the table by which an ``in_flight`` request changes its state. ``proxies`` and ``tls`` hold the settings
of proxies and certificate authorities, ``route`` says how an origin is addressed, ``connecting`` connects
to it. A ``connection`` reads, and ``response`` parses what it reads. ``response_stream`` is for coroutines.
"""

from trunkline.transport.client import Client, Stats
from trunkline.transport.failures import TransportError
from trunkline.transport.host_pool import Limits
from trunkline.transport.in_flight import InFlightRequest, ResponseHead, Sink
from trunkline.transport.proxies import ProxyConfig
from trunkline.transport.request import LimitNames, Origin, Timeouts, UpstreamRequest, parse_origin
from trunkline.transport.response_stream import Response, ResponseStream
from trunkline.transport.tls import TlsConfig

__all__ = [
    "Client",
    "InFlightRequest",
    "LimitNames",
    "Limits",
    "Origin",
    "ProxyConfig",
    "Response",
    "ResponseHead",
    "ResponseStream",
    "Sink",
    "Stats",
    "Timeouts",
    "TlsConfig",
    "TransportError",
    "UpstreamRequest",
    "parse_origin",
]
