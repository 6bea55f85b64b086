"""This package publishes a finished run on the Hugging Face hub."""
