"""The server's Flower processes and the proxy before them."""
