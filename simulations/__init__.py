"""Many sites on one machine, with the ClientApp and ServerApp that hospitals run."""
