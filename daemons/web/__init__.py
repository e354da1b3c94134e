"""What the dashboard and the reading room share: passwords, sessions, headers. No framework."""
