"""What a user does with images: one module an operation. Each is also a name of `eci_convert`.
inspect.py          what an image holds
list_files.py       the files of an image
diff.py             how two images differ
extract.py          parts of an image into files
extract_request.py  which parts go where
kubevirt_machine.py  the VirtualMachine that boots an image
declared_sizes.py   sizes of files in layers, as the image tells them
part_sizes.py       sizes and digests of parts, as an image tells them or as they are
output_files.py     the files that extract writes
check_build.py      the parts in an image that a Docker engine built
estimate.py         how many bytes an operation will read or write
push.py             parts into an image
published_image.py  what an image that was just written is known by
destination.py      where an image goes, and what must not be overwritten
copy.py             an image from one transport to another, every byte kept
copy_request.py     which images are copied, and as what
convert.py          an image in one format, written in another
conversion_cache.py what earlier conversions made
doctor/             what is on this computer, and how a registry is reached
verify/             whether an image is what it claims to be; repair
store/              the names in a store
"""
