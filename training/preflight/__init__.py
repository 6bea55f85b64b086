"""What a run will take, and what would stop it, before a GPU is paid for."""
