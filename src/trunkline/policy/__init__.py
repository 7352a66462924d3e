"""What a caller may do: keys and the filter of models. Reads memory only; stores are Protocols."""
