"""The commands, with their options and help texts.

The implementation of a command is imported when it is called. The docstrings of the commands are help texts.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

import trunkline
from trunkline.cli.options import AdminKey, Config, GatewayUrl, Json
from trunkline.cli.store_commands import STORE_APPS

app = typer.Typer(
    help="Trunkline: one port that speaks OpenAI, Ollama and Anthropic, in front of every model you have.",
    epilog="\b\nFirst steps:\n  trunkline up               make a key if there is none, and serve\n"
    "  trunkline check            say what the configuration means\n"
    "  trunkline doctor           say what is wrong with the providers, and the fix\n"
    "  trunkline keys create app  make another key",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for name, group in STORE_APPS.items():
    app.add_typer(group, name=name)

Host = Annotated[
    str | None,
    typer.Option(help="Address to listen on (HOST). Default: 0.0.0.0 with keys required, else 127.0.0.1."),
]
Port = Annotated[int | None, typer.Option(help="Port to listen on (PORT). Default: 8000.")]
ApiKey = Annotated[
    str | None,
    typer.Option(help="OpenRouter's key (better: OPENROUTER_API_KEY, which no process list shows)."),
]
ModelsFilter = Annotated[
    Path | None,
    typer.Option(help="File of rules that say which models may be used (MODELS_FILTER). Default: all may."),
]
LogLevel = Annotated[
    str | None, typer.Option(help="debug, info, warning, error or critical (LOG_LEVEL). Default: info.")
]
Dev = Annotated[
    bool,
    typer.Option("--dev", help="This machine only, and no key needed while none exists (DEVELOPMENT_MODE)."),
]
AsOllama = Annotated[
    bool, typer.Option("--as-ollama", help="Listen on Ollama's port 11434 as well (AS_OLLAMA).")
]
Workers = Annotated[
    int | None, typer.Option(help="Processes (WORKERS). More than one needs REDIS_URL. Default: 1.")
]
Reload = Annotated[
    bool, typer.Option("--reload", help="Start again when the code or the configuration changes.")
]
Timeout = Annotated[
    float, typer.Option(min=0.1, max=600, help="Most seconds that the check of one provider may take.")
]


def _overrides(
    *,
    host: str | None,
    port: int | None,
    api_key: str | None,
    models_filter: Path | None,
    log_level: str | None,
    dev: bool,
    as_ollama: bool,
    workers: int | None,
) -> dict[str, object]:
    """The settings that the options of ``up`` and ``serve`` set. An option that was not given is None."""
    return {
        "host": host,
        "port": port,
        "openrouter_api_key": api_key,
        "models_filter": models_filter,
        "log_level": log_level,
        "development_mode": dev or None,
        "as_ollama": as_ollama or None,
        "workers": workers,
    }


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", "-V", help="Print the version and exit.")] = False,
) -> None:
    if version:
        _version()
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("version")
def _version() -> None:
    """Print the version.

    \b
    Example:
      trunkline version
    """
    typer.echo(f"trunkline {trunkline.__version__}")


@app.command("init")
def _init(config: Config = None) -> None:
    """Write a configuration file, if there is none, and make the first key.

    The key is an admin's, and printed this once.

    \b
    Example:
      trunkline init
    """
    from trunkline.cli.start import init

    init(config)


@app.command("up")
def _up(
    host: Host = None,
    port: Port = None,
    config: Config = None,
    api_key: ApiKey = None,
    models_filter: ModelsFilter = None,
    log_level: LogLevel = None,
    dev: Dev = False,
    as_ollama: AsOllama = False,
    workers: Workers = None,
) -> None:
    """Serve, after what `init` does if that is needed; print a curl line to try.

    \b
    Examples:
      trunkline up
      OLLAMA_BASE_URL=http://gpu1:11434 trunkline up --port 9000
    """
    from trunkline.cli.start import up

    overrides = _overrides(
        host=host,
        port=port,
        api_key=api_key,
        models_filter=models_filter,
        log_level=log_level,
        dev=dev,
        as_ollama=as_ollama,
        workers=workers,
    )
    raise typer.Exit(up(config, overrides))


@app.command("serve")
def _serve(
    host: Host = None,
    port: Port = None,
    config: Config = None,
    api_key: ApiKey = None,
    models_filter: ModelsFilter = None,
    log_level: LogLevel = None,
    dev: Dev = False,
    as_ollama: AsOllama = False,
    workers: Workers = None,
    reload: Reload = False,
) -> None:
    """Serve, until a signal ends it.

    Options win over the environment, that over .env, that over the configuration file.

    \b
    Examples:
      trunkline serve --port 9000
      trunkline serve --dev --reload --log-level debug
      trunkline serve --as-ollama --models-filter models-filter.txt
    """
    if reload:
        from trunkline.cli.reload import serve_with_reload

        raise typer.Exit(serve_with_reload(config))
    from trunkline.cli.start import serve

    overrides = _overrides(
        host=host,
        port=port,
        api_key=api_key,
        models_filter=models_filter,
        log_level=log_level,
        dev=dev,
        as_ollama=as_ollama,
        workers=workers,
    )
    raise typer.Exit(serve(config, overrides))


@app.command("check")
def _check(
    replay: Annotated[
        Path | None,
        typer.Option(help="A gateway's request log: print what this configuration would do otherwise."),
    ] = None,
    online: Annotated[
        bool, typer.Option("--online", help="Also ask every provider, as `trunkline doctor` does.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --online: print what was found as JSON.")
    ] = False,
    timeout: Timeout = 10.0,
    config: Config = None,
) -> None:
    """Validate the configuration, and print what it means.

    \b
    Examples:
      trunkline check --config trunkline.yaml
      trunkline check --online
      trunkline check --config new.yaml --replay gateway.log
    """
    if replay is not None:
        from trunkline.cli.explain import replay as replay_log

        raise typer.Exit(replay_log(config, replay))
    if online:
        from trunkline.cli.check import check_online

        raise typer.Exit(check_online(config, as_json=as_json, limit_s=timeout))
    if as_json:
        raise typer.BadParameter("--json needs --online")
    from trunkline.cli.check import check

    check(config)


@app.command("doctor")
def _doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    timeout: Timeout = 10.0,
    config: Config = None,
) -> None:
    """Ask every provider; say what is wrong and what mends it.

    It asks for lists of models, which costs nothing, and looks whether the gateway's port is free. The exit
    code is 1 if something is wrong.

    \b
    Examples:
      trunkline doctor
      trunkline doctor --json --timeout 3
    """
    from trunkline.cli.doctor.command import doctor

    raise typer.Exit(doctor(config, as_json=as_json, limit_s=timeout))


@app.command("models")
def _models(
    provider: Annotated[str | None, typer.Option(help="Only this provider's. Default: those of all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, as GET /v1/models has it.")] = False,
    config: Config = None,
) -> None:
    """Ask the providers for their models, and list them under the names that clients use.

    \b
    Examples:
      trunkline models
      trunkline models --provider ollama --json
    """
    from trunkline.cli.models import show

    raise typer.Exit(show(config, provider=provider, as_json=as_json))


@app.command("explain")
def _explain(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A model's name, as a client would write it.")
    ],
    operation: Annotated[
        Literal["chat", "completions", "embeddings"], typer.Option(help="What would be asked.")
    ] = "chat",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, as GET /v1/explain has it.")] = False,
    config: Config = None,
) -> None:
    """Say where requests for a model would go: the candidates in order, and why each is in or out.

    \b
    Examples:
      trunkline explain gpt-4o
      trunkline explain ollama/llama3.2 --json
    """
    from trunkline.cli.explain import show

    raise typer.Exit(show(config, model, operation=operation, as_json=as_json))


upstreams_app = typer.Typer(help="See which upstreams rest and why, and reset them.", rich_markup_mode=None)
app.add_typer(upstreams_app, name="upstreams")


@upstreams_app.callback(invoke_without_command=True)
def _upstreams(
    context: typer.Context,
    url: GatewayUrl = None,
    key: AdminKey = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """See which upstreams of a running gateway rest and why, and reset them.

    Without a command, the upstreams are listed. The exit code is 1 if anything rests.

    \b
    Examples:
      trunkline upstreams
      trunkline upstreams --url http://gateway:8000 --json
      trunkline upstreams reset ollama
    """
    if context.invoked_subcommand is None:
        from trunkline.cli.upstreams import show

        raise typer.Exit(show(config, url, key, as_json=as_json))


@upstreams_app.command("reset")
def _reset(
    which: Annotated[
        str,
        typer.Argument(metavar="UPSTREAM", help="As the list shows it, or a provider for all it has."),
    ],
    url: GatewayUrl = None,
    key: AdminKey = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Let a running gateway forget the failures of an upstream, so that it is asked again at once.

    \b
    Examples:
      trunkline upstreams reset ollama
      trunkline upstreams reset ollama/localhost:11434
    """
    from trunkline.cli.upstreams import reset

    raise typer.Exit(reset(config, url, key, which, as_json=as_json))


@app.command("schema")
def _schema() -> None:
    """Print the JSON Schema of trunkline.yaml, for editors.

    \b
    Example:
      trunkline schema > trunkline.schema.json
    """
    from trunkline.settings.schema import schema_text

    typer.echo(schema_text(), nl=False)


@app.command("mock")
def _mock(
    shape: Annotated[
        str, typer.Option(help="Whom to play: ollama, openai, anthropic, openrouter, cerebras, vllm …")
    ] = "openai",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8001,
    script: Annotated[Path | None, typer.Option(help="File of scripted answers and faults.")] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="A model to have; may be repeated. Default: those of the shape.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse what the vendor refuses.")] = False,
    awkward: Annotated[
        str | None, typer.Option(metavar="NAME", help="Answer in this awkward shape (docs/mock.md).")
    ] = None,
) -> None:
    """Play an upstream, with scripted answers and faults, to test against.

    \b
    Examples:
      trunkline mock --shape ollama --port 11434 --model llama3.2
      trunkline mock --script faults.yaml
      trunkline mock --shape deepseek --strict
      trunkline mock --awkward calls_zero_no_ids
    """
    from trunkline_mock import run

    try:
        run(shape, host, port, script, model, strict, awkward, announce=typer.echo)
    except OSError as error:
        if error.filename is not None:  # the script cannot be read
            raise typer.BadParameter(f"{error.filename} cannot be read: {error.strerror}") from None
        reason = (
            os.strerror(error.errno) if error.errno else error
        )  # asyncio's own text contains the address, too
        raise typer.BadParameter(f"cannot listen on {host} port {port} ({reason}); choose another") from None
    except ValueError as error:  # an unknown shape, or an invalid script
        raise typer.BadParameter(str(error)) from None
