"""A real engine behind the gateway: llama.cpp on a tiny model of random weights that the test writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import World, gateway

gguf = pytest.importorskip("gguf", reason="the package gguf is not installed")
xllamacpp = pytest.importorskip("xllamacpp", reason="the package xllamacpp is not installed")
np = pytest.importorskip("numpy", reason="the package numpy is not installed")

WIDTH, HEADS, LAYERS, HIDDEN, CONTEXT = 64, 4, 2, 128, 512


def write_model(path: Path) -> None:
    """A llama of random weights with a byte tokenizer: it talks nonsense, through the whole real engine."""
    random = np.random.default_rng(7)
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    tokens = [b"<unk>", b"<s>", b"</s>"] + [f"<0x{byte:02X}>".encode() for byte in range(256)]
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([*kinds, *[gguf.TokenType.BYTE] * 256])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_vocab_size(len(tokens))

    def add(name: str, *shape: int) -> None:
        ones = np.ones(shape, dtype=np.float32)
        weights = random.normal(0, 0.05, shape).astype(np.float32)
        writer.add_tensor(name, ones if "norm" in name else weights)

    add("token_embd.weight", len(tokens), WIDTH)
    add("output_norm.weight", WIDTH)
    add("output.weight", len(tokens), WIDTH)
    for layer in range(LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            add(f"blk.{layer}.{name}.weight", WIDTH)
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"blk.{layer}.{name}.weight", WIDTH, WIDTH)
        add(f"blk.{layer}.ffn_gate.weight", HIDDEN, WIDTH)
        add(f"blk.{layer}.ffn_up.weight", HIDDEN, WIDTH)
        add(f"blk.{layer}.ffn_down.weight", WIDTH, HIDDEN)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway in front of llama.cpp's own server."""
    folder = tmp_path_factory.mktemp("llamacpp")
    write_model(folder / "tiny.gguf")
    params = xllamacpp.CommonParams()
    params.model.path = str(folder / "tiny.gguf")
    params.port = 0
    params.n_ctx = CONTEXT
    params.n_parallel = 1
    params.cpuparams.n_threads = 1
    params.warmup = False
    server = xllamacpp.Server(params)
    config = f"""
ollama_enabled: false
providers:
  engine: {{type: openai-compatible, url: "{server.listening_address}/v1"}}
"""
    with gateway(folder, config) as world:
        yield world
    del server


HELLO: Any = [{"role": "user", "content": "Hello"}]


def model(world: World) -> str:
    return next(found.id for found in world.client("/engine/v1").models.list())


def test_a_whole_answer(engine: World) -> None:
    answer = engine.client("/engine/v1").chat.completions.create(
        model=model(engine), messages=HELLO, max_tokens=8, temperature=0
    )
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 0
    assert 0 < answer.usage.completion_tokens <= 8


def test_a_streamed_answer(engine: World) -> None:
    chunks = list(
        engine.client("/engine/v1").chat.completions.create(
            model=model(engine),
            messages=HELLO,
            max_tokens=8,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] in ("stop", "length")
    assert chunks[-1].usage is not None
    assert 0 < chunks[-1].usage.completion_tokens <= 8
