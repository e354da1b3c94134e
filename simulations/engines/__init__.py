"""How sites' steps are computed: in this process and its children, or by Flower's Ray engine."""
