"""What type a disk is: what its bytes say, what its owner says, and whether both can be true.

magic       detect: the type that the first and the last bytes show
declared    PATH[:TYPE]; a declared type against the bytes
foreign     what a disk wants read beside itself: no guest's disk has a business with the host's files
vmdk vhdx   … of these two
"""

from eci_convert.disktype.declared import check, contradicts, declared, of_file
from eci_convert.disktype.foreign import foreign_reference, further
from eci_convert.disktype.magic import HEAD, TAIL, detect

__all__ = ["HEAD", "TAIL", "check", "contradicts", "declared", "detect", "foreign_reference", "further", "of_file"]
