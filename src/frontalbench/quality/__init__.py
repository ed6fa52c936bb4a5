"""How good the images of a variant are, whoever is on them.

* :mod:`.measures`: every measure, declared once;
* :mod:`.pixels`: SSIM and PSNR against the reference, sharpness, on aligned crops;
* :mod:`.st_lpips`: a learned distance to the reference; :mod:`.brisque`, :mod:`.fiqa`: scores of one crop;
* :mod:`.inception`, :mod:`.distribution`: features of a set of crops, and FID and KID of two sets;
* :mod:`.expression`: blendshapes, and how far two expressions are apart.
"""
