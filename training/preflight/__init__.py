"""Preflight estimates what a training takes and checks what would stop it, before a GPU is paid for."""
