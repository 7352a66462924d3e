"""Providers: who answers requests, how they are reached, and what is particular to each.

``base`` holds the Protocols; ``vendors`` the providers that are only data, ``model_facts`` what is known of
models and ``fits`` what vendors refuse; ``api_choice`` chooses between OpenAI's two APIs, of which
``responses_rules`` says what vendors take in the newer one; ``http`` carries exchanges over the transport;
``thought_rules`` says what each vendor takes back of earlier thinking, ``foreign_calls`` finds calls without
it, ``failures`` what vendors' failures concern, and ``time_limits`` how long an attempt at a model may take;
``ollama``, ``openrouter`` and ``custom`` have behaviour of their own; ``python`` lends a user's Python
provider the same interface; ``build`` makes all of them from the settings, each as ``from_settings`` says
that it is reached. For Python programs, ``library`` gives every provider methods to call and ``schemas`` the
objects that they take and return. ``images`` fetches images for upstreams that take no addresses.
"""
