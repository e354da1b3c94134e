"""Attacks on patients' privacy: what a server can learn from what a site sends, measured."""
