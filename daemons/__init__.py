"""What the daemons of both sides share: children kept alive, certificates, checks, the terminal."""
