"""This computer's file system.
errors.py           errors of the operating system as errors of ours
atomic.py           AtomicFiles: files that appear under their names all together, or not at all
temp_files.py       the temporary files that atomic.py renames
output_paths.py     what a user may name as an output: a path, -, /dev/stdout, /dev/fd/N
safe_open.py        regular files, opened without following links
safe_tree.py        a directory that names from an image cannot leave
sparse.py           files with holes, read and written
locks.py            locks of files and directories; what nobody holds is swept away
own_directory.py    a directory of ours that others must not be able to steer
leftovers.py        what is removed when the process ends at once
home.py             the user's home directory
space.py            free-space checks
copy.py             copies of files that share their extents where the file system can
spool.py            a temporary copy of a stream that cannot be read twice
writeback.py        early write-back of written pages"""
