"""``trunkline doctor`` and ``trunkline check --online``: what is wrong with each provider, and the fix.

Every provider is asked for its list of models, which costs nothing.

- `command` has all providers asked at once, and checks the models that the settings name.
- `report` prints what was found, without secrets.
- `asking` asks one upstream, and follows up on what it answers.
- `findings` has the texts: what a failure or a status means, and what to do.
- `paths` guesses where an API lies that is not at its address.
- `expected` reads from the settings where a provider is configured, and which models it should have.
- `peek` looks at a port beside the transport: does it speak TLS, is it plain HTTP.
- `listening` looks at the gateway's own address.
"""
