"""What is done with whole images, in and between the places where they live.

store/    several images under one name; stores of several images
"""
