"""Learning at a site: networks, local training, augmentation, scoring of a pool."""
