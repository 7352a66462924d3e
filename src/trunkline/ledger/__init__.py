"""Everything that Trunkline stores for good: keys, teams, limits, budgets, usage and the audit log.

The path of usage: the event loop appends a row for each attempt (`usage_rows`) to a file (`journal`). A
thread (`writer`) moves the rows from there into the database (`usage_store`), together with their roll-ups.
`usage` reads totals and single rows; `id_ranges` narrows a search for single rows, so that it does not read
millions of others; `export` turns totals into CSV. `columns` has the column names that these modules share.

Policies are edited through `keys`, `teams` and `rules`, and `audit` records every edit. A running gateway
reads them through `reader`, in the form that `policies` defines.

The database: `locate` interprets its URL, `store` opens it, `tables` describes its tables, and `migrate`
brings them up to date with the steps in `migrations`. SQLAlchemy is imported only when a store is opened.
"""
