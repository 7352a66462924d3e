"""The pages on health and metrics."""

from __future__ import annotations

import msgspec

from tests.gateways import BEARER, Running, chat, get, post


async def test_health(running: Running) -> None:
    assert (await running.ask(get("/"))).body == b"Ollama is running"
    for path in ("/health", "/healthz", "/health/live"):
        health = msgspec.json.decode((await running.ask(get(path))).body)
        assert health == {"status": "ok", "version": running.gateway.version}
    ready = (await running.ask(get("/health/ready"))).json
    assert ready == {"status": "ok", "providers": ["openrouter", "vllm", "ollama", "custom"], "resting": []}
    running.gateway.stopping = True
    answer = await running.ask(get("/health/ready"))
    assert (answer.status, answer.json) == (503, {"status": "stopping"})
    assert (await running.ask(get("/health"))).status == 200


async def test_metrics(running: Running) -> None:
    for model in ("openai/gpt-4o", "openai/gpt-4o", "nobody-has-it"):
        await running.ask(post(chat(model), BEARER))
    answer = await running.ask(get("/metrics", BEARER))
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.body.decode().splitlines()
    requests = 'trunkline_requests_total{operation="chat",outcome="%s",provider="%s",status="%s"} %s'
    assert requests % ("success", "openrouter", 200, 2.0) in lines
    assert requests % ("refused", "none", 404, 1.0) in lines
    assert any(line.endswith('provider="openrouter",type="input"} 2.0') for line in lines)
    assert any(line.startswith("gen_ai_server_time_to_first_token_seconds_bucket{") for line in lines)
    answer = await running.ask(get("/metrics", BEARER, b"Accept: application/json\r\n"))
    assert answer.status == 200
    series = {(each["operation"], each["provider"]): each for each in answer.json["series"]}
    assert series["chat", "openrouter"]["requests"] == {"200": 2}
    assert series["chat", "openrouter"]["outcomes"] == {"success": 2}
    assert series["chat", "openrouter"]["input_tokens"] == 2
