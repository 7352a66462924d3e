"""A pooled HTTP/1.1 client for a gateway: bytes to upstreams and back, by callbacks.

``Client.send(request, sink)`` returns a :class:`Flight`; the :class:`Sink` is called as the answer arrives.
What goes wrong is a :class:`TransportError`. The transport knows connections, timeouts, TLS and proxies, and
nothing of providers, dialects or models.

``client`` does what ``pool`` decides. Values: a ``request`` to an origin, a ``in_flight`` under way,
``failures`` in one table. To get there: ``proxies`` and ``tls`` say by which way and whom to trust, ``route``
puts both together, ``opening`` connects. On the wire: a ``connection`` writes and reads, ``response`` makes
answers of its bytes. For coroutines: ``reading`` an answer, and an ``upload`` of a large body.
"""

from trunkline.transport.client import Client, Response, Stats
from trunkline.transport.failures import TransportError
from trunkline.transport.host_pool import Limits
from trunkline.transport.in_flight import InFlightRequest, Sink
from trunkline.transport.proxies import ProxyConfig
from trunkline.transport.request import Origin, Timeouts, UpstreamRequest, parse_origin
from trunkline.transport.response_stream import ResponseStream
from trunkline.transport.tls import TlsConfig

__all__ = [
    "Client",
    "InFlightRequest",
    "Limits",
    "Origin",
    "ProxyConfig",
    "Response",
    "ResponseStream",
    "Sink",
    "Stats",
    "Timeouts",
    "TlsConfig",
    "TransportError",
    "UpstreamRequest",
    "parse_origin",
]
