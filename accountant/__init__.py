"""Whether an answer may be spent: events, losses, and the ledger. No SQL text of analysts, no web."""
