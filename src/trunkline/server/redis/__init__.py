"""What nodes share in Redis (or Valkey): ``limits`` are the leases of limits and budgets, ``cache`` is the
answers, ``state`` what clients refer to later."""
