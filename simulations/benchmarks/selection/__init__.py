"""How fast cases are chosen and labels settled, side by side with peers on equal inputs."""
