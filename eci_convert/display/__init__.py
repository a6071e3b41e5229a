"""Progress for people and for programs, on standard error: reporters that are ready to use.

units.py        sizes, rates and times as people read them
terminal.py     what a stream can show: width, colours, symbols
state.py        what is known of the work at a moment: tasks, speeds, what is waited for
layout.py       one row or line, fitted to a width
reporter.py     what the reporters have in common
plain.py        PlainProgress: lines, for logs and terminals that only print
rich.py         RichProgress: bars that are redrawn, finished work above them
json_lines.py   JsonProgress: one JSON object per line, for programs
"""
