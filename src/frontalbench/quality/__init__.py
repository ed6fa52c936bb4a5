"""How good the pictures of a variant are, whoever is on them.

* :mod:`.pixels`: SSIM and PSNR against the reference, sharpness, on aligned crops;
* :mod:`.st_lpips`: a learned distance to the reference; :mod:`.brisque`, :mod:`.fiqa`: scores of one crop;
* :mod:`.inception`, :mod:`.distribution`: features of a set of crops, and FID and KID of two sets;
* :mod:`.expression`: blendshapes, and how far two expressions are apart.
"""

JUDGES = {"perceptual": "st_lpips_alex", "no_reference": "brisque_live", "face_quality": "ediffiqa_tiny", "distribution": "inception_2015"}
"""Word in the configuration (``quality.measures``) -> the quality card that takes it."""
