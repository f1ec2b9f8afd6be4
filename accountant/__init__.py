"""Whether an answer may be spent: events, losses, and the ledger. No analyst's SQL, no web."""
