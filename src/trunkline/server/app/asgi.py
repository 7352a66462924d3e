"""The whole gateway as an ASGI application, with the admin API beside the data plane."""

from __future__ import annotations

from trunkline.ledger.reader import open_reader, upgrade_if_needed
from trunkline.ledger.writer import Ledger
from trunkline.server.app.gateway import Gateway
from trunkline.server.app.wiring import Registry
from trunkline.server.http.asgi import Application, GatewayApp
from trunkline.settings import Settings, exposure, load_settings


def make_asgi_app(gateway: Gateway) -> GatewayApp[Gateway]:
    """The application for a gateway. FastAPI is imported only when it is first asked for something."""

    def make_admin_app() -> Application:
        from trunkline.server.admin.app import make_fastapi

        return make_fastapi(gateway)

    return GatewayApp(gateway, make_admin_app)


def get_app(settings: Settings | None = None, registry: Registry | None = None) -> GatewayApp[Gateway]:
    """The whole gateway as an ASGI application, for any ASGI server, or to be mounted in another.

    Args:
        settings: built once and passed in; without them they are loaded as the command line does.
        registry: providers that the program has made, such as ``provider_registry``; they are served too.

    Raises:
        SettingsError: the settings cannot be served, a start without keys among them.
    """
    settings = settings or load_settings()
    url = settings.database_url.get_secret_value()
    upgrade_if_needed(url)
    keys = open_reader(url)
    where = exposure(settings, bool(settings.api_keys) or bool(keys.load().keys))
    ledger = Ledger(url, settings.ledger_dir, retention_days=settings.ledger_retention_days)
    return make_asgi_app(Gateway(settings, where, keys, registry, ledger))
