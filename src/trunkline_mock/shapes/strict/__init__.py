"""What vendors refuse beyond what their API's reference says, for mocks that are started as strict.

- ``rules``: the columns of the table, as values.
- ``vendors``: the table, one row for each vendor that is asked in OpenAI's chat API.
- ``chat``: checks a chat request against a row. ``schemas``: checks the JSON schemas in it.
- ``messages``: what Anthropic's Messages API refuses. ``responses``: what OpenAI's Responses API refuses.

Nothing here depends on a script: a strict mock answers as scripts say whatever it does not refuse.
"""
