"""One hospital: its cases, its database, scoring, training, and the Flower ClientApp."""
