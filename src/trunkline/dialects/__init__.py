"""Dialects: the vendors' APIs as bytes in both directions, without I/O.

There is one package per API: ``openai``, ``responses`` (OpenAI's newer one), ``anthropic`` and ``ollama``.
None imports another. All have the same modules for the same roles; a role that is too large for one module
has further ones whose names begin with the role (``parse_messages``, ``write_stream``):

- ``front`` and ``back`` put the other modules together, as ``base`` asks;
- ``parse`` turns a client's bytes into a canonical request;
- ``render`` turns a canonical request into bytes for an upstream;
- ``fit`` changes an upstream's bytes in what its vendor would refuse;
- ``read`` turns an upstream's bytes into events;
- ``write`` turns events into bytes for a client;
- ``inspect`` reads what passes through unchanged, for usage, errors and the end of the answer;
- ``errors`` reads and writes the dialect's errors;
- ``request_schema`` and ``answer_schema`` hold the structs and names of requests and answers;
- ``fields`` lists the fields that only this dialect has: state fields, and harmless ones;
- ``reasoning`` says what thinking models take, where the dialect has such rules;
- ``own_state`` keeps other vendors' state out of what passes through.

The modules beside the packages are what several dialects share: ``base`` the interface, ``body_patch``
changes to a client's own body, ``read``, ``write`` and ``inspect`` the base classes of those roles,
``request_errors`` the decoding of requests, ``unknown_fields`` what becomes of the fields that only one
dialect has, ``field_names`` the names of fields in every spelling, ``tool_arguments`` the arguments of tool
calls,
``error_envelope`` OpenAI's error object, ``status`` the meaning of an upstream's HTTP status,
``tool_matching`` the ids of tool calls, ``turns`` the normal form of turns, ``custom_tools`` tools whose
input is a text, ``web_search`` the refusal of searches, ``json_mode`` the JSON mode and ``stop_text`` the
stop sequences of APIs that have none, ``reasoning`` what OpenAI's thinking models take,
``vendor_state`` whose state is whose, ``kept_state`` what clients do not send back, ``cache_control`` cache
breakpoints, and the package ``fit`` what fit steps share.
Answers that are not as they should be: ``generous`` reads records that do not fit their struct,
``error_words`` finds the words of errors, ``odd_records`` takes apart what is not one record each,
``other_form`` tells a stream from a whole answer, ``rewrite`` writes one as the other, ``cost`` reads costs,
``media`` says what becomes of content without a field.
"""
