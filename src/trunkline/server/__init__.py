"""The server: two ends of one data plane, and the few pages beside it.

What it is made of: ``gateway`` puts everything together from the settings; what a reload (``reloading``) can
replace is in ``wiring``. ``run`` listens, in several processes by ``workers``.

How a request comes in: ``protocol`` with ``cycle`` (fast) and ``asgi`` (reference) are the two ends,
``calls`` is what they share, ``routes`` says what stands at which path, ``admit`` checks who asks,
``forwarded`` whom a trusted proxy speaks for.

What there is to ask besides models' answers: ``pages`` and ``providers`` tell what the gateway knows itself,
``handlers`` are what takes its time, ``ollama``, ``messages`` and ``responses`` (with the ``items`` that it
keeps) are what clients of these dialects look for; ``app`` is FastAPI for ``admin`` and its pages, ``docs``.

What a request leaves behind: ``records`` notes it, in the ledger's ``rows`` and in ``spans``.

What other rooms need of settings, database and Redis: ``policing`` for rules and prices, ``sharing`` for
shared limits, ``answers`` for the cache.
"""
