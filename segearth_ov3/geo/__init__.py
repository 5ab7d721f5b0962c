"""Rasters, maps and pictures: reads and writes files, knows no network."""
