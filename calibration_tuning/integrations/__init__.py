"""Confidences in other tools' evaluations: lm-evaluation-harness and inspect_ai. docs/integrations.md has examples."""
