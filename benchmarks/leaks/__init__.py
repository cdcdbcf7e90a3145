"""Calibration of monitor.leak: a labelled corpus, other detectors, a table and plots."""
