"""Copies of files that share their extents where the file system can."""
