"""The coordinator: the Flower ServerApp and its ledger. No torch is ever imported here."""
