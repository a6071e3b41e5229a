"""What is done with the names in a place.

index.py       an index is made, gets images and loses them
images.py      the images that a name stands for
strategy.py    what becomes of an index that is there already
entries.py     what an index lists, and which of it is for the same platform
"""
