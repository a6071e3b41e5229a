"""Reporters that show progress on standard error.

units.py        sizes, rates and times as text
terminal.py     properties of a terminal: width, colours, symbols
state.py        the state of the work: tasks, speeds, waits
layout.py       one row or line, fitted to a width
reporter.py     base classes
plain.py        PlainProgress: lines, for logs and terminals that only print
rich.py         RichProgress: bars that are redrawn, finished work above them
json_lines.py   JsonProgress: one JSON object per line, for programs
"""
