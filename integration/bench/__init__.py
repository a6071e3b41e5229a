"""Every job compared, in one run and on the same files, with what a user would do instead (`make bench`).

    parts.py      the machine that is moved: kernel 14 MB, initrd 30 MB, a 2 GiB root disk of which a third is data
    measure.py    a command's seconds and memory, contenders in turn, the middle of several rounds
    integration/bench/jobs.py       the jobs: ours and the peers', each a line of shell that a user could type
    integration/bench/link.py       a link that gives every connection so many bytes a second
    integration/bench/chart.py      the table and the picture
    __main__.py   python -m integration.bench [--rounds N] [--only WORD] [--svg FILE]

It reports and never asserts.
"""
