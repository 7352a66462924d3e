"""The composition of the gateway, and what starts and changes it.

``gateway`` puts everything together from the settings. ``wiring`` is the part that a reload replaces,
``reload`` takes over changed settings. ``policy_config`` makes the guard's rules and prices from settings and
store, ``policy_watcher`` reads the store again when it has changed, ``webhook`` posts the warnings of
budgets. ``shared_state`` is what nodes share through Redis, ``gauges`` the metrics of one moment. ``asgi`` is
the whole gateway as an application; ``run`` listens, with several processes by ``workers``, and
ends as ``drain`` says.
"""
