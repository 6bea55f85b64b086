"""Plots of the report. `metrics.plots` holds the reliability diagram and the theme, which others use too."""
