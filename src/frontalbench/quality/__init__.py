"""How good the pictures of a variant are, whoever is on them.

* :mod:`.pixels`: SSIM and PSNR against the reference, sharpness, on aligned crops;
* :mod:`.distribution`: FID and KID of given features;
* :mod:`.expression`: blendshapes, and how far two expressions are apart.
"""
