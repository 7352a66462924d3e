"""Dialects: the vendors' APIs as bytes, both directions, no I/O.

A package for each API: ``openai``, ``responses`` (OpenAI's newer one), ``anthropic``, ``ollama``; none
imports another. ``base`` says what each of them offers. The modules beside it are what several of them share:
``watching`` what passes through unchanged, ``splicing`` a field into a client's own body, ``checks`` of what
clients send, OpenAI's error ``envelope``, and what an upstream's ``status`` means.
"""
