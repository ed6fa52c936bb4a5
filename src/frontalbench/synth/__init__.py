"""People who do not exist, seen from many angles: small image sets that may be shown, and load tests of any size.

``mobilestylegan.py`` draws an image from a style, ``directions.py`` knows which way in style space turns a head, ``people.py`` makes one person at
measured angles, ``image_set.py`` writes a folder. Needs the extra ``synth`` (OpenVINO). Images made here are synthetic and are said to be
wherever shown.
"""
