"""Operations on images, one module each. The public API calls them.
inspect.py          dialects, platforms and parts of an image
list_files.py       the files of an image
diff.py             how two images differ
extract.py          parts of an image into files
extract_request.py  the output paths of parts
kubevirt_machine.py  the VirtualMachine that boots an image
declared_sizes.py   sizes of files in layers, from annotations
part_sizes.py       sizes and digests of parts, declared or read
output_files.py     the files that extract writes
check_build.py      the parts in an image that a Docker engine built
estimate.py         how many bytes an operation will read or write
push.py             parts into an image
published_image.py  the digest and id of an image that was just written
destination.py      destinations, and files that must not be overwritten
copy.py             an image from one transport to another, every byte kept
copy_request.py     the images to copy, and their format
convert.py          an image in one format, written in another
conversion_cache.py results of earlier conversions
doctor/             diagnosis of this computer and of a registry
verify/             verification of an image; repair
store/              operations on the names in a store
"""
