"""The coordination service: one gRPC stream to every site."""
