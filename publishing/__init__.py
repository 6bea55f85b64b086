"""A finished run on the Hugging Face hub."""
