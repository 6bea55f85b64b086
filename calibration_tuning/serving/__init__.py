"""A checkpoint behind HTTP: the OpenAI protocol with confidences, and a page to ask it."""
