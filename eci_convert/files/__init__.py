"""The local file system.
errors.py           errors of the operating system as LocalError
atomic.py           AtomicFiles: several files replaced atomically
temp_files.py       the temporary files that atomic.py renames
output_paths.py     output arguments: a path, -, /dev/stdout, /dev/fd/N
safe_open.py        regular files, opened without following links
safe_tree.py        a directory tree accessed with untrusted names
sparse.py           files with holes, read and written
locks.py            locks of files and directories; removal of abandoned ones
own_directory.py    a private directory for state and caches
leftovers.py        files removed when the process ends early
config_file.py      configuration files of the user or the machine
home.py             the user's home directory
space.py            free-space checks
spool.py            a temporary copy of a stream that cannot be read twice
writeback.py        early write-back of written pages"""
