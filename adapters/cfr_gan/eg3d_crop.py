"""EG3D's frame of a face from five points: a square crop, and the camera that sees it.

The authors align with five points in three dimensions (those of Deep3DFaceReconstruction) and take the camera from a face reconstruction.
Here both come from one least-squares fit of a scaled orthographic camera to the same five points. It is less exact, above all in pitch, and
needs no other network.
"""

import numpy as np
from PIL import Image

# Image-left eye, image-right eye, nose tip, image-left and image-right corner of the mouth: x right, y up, z out of the face.
POINTS = np.array(
    [
        [-0.31148657, 0.09036078, 0.13377953],
        [0.30979887, 0.08972035, 0.13179526],
        [0.0032535, -0.24617933, 0.55244243],
        [-0.25216928, -0.5813392, 0.22405732],
        [0.2484662, -0.5812824, 0.22235769],
    ]
)
INTRINSICS = [4.2647, 0.0, 0.5, 0.0, 4.2647, 0.5, 0.0, 0.0, 1.0]


def camera(points):
    """(scale in pixels per unit, origin (x, y) in pixels, rotation (3, 3) head -> camera, y up) of five points (x, y) in pixels, y down."""
    seen = np.asarray(points, dtype=np.float64) * [1.0, -1.0]
    solved, _, rank, _ = np.linalg.lstsq(np.c_[POINTS, np.ones(5)], seen, rcond=None)
    lengths = np.linalg.norm(solved[:3], axis=0)
    if rank < 4 or lengths.min() < 1e-6:
        raise ValueError("the five points hold no pose")
    first, second = solved[:3, 0] / lengths[0], solved[:3, 1] / lengths[1]
    u, _, v = np.linalg.svd(np.stack([first, second, np.cross(first, second)]))
    rotation = u @ np.diag([1.0, 1.0, np.linalg.det(u @ v)]) @ v
    return float(lengths.mean()), solved[3] * [1.0, -1.0], rotation


def crop(image, points, side=512, unit=300.0 * 512 / 700):
    """(square image of ``side`` pixels, EG3D's camera label of 25 numbers). ``unit``: pixels of the result per unit of the points."""
    scale, origin, rotation = camera(points)
    back = scale / unit
    left, top = origin - side / 2 * back
    square = image.convert("RGB").transform((side, side), Image.AFFINE, (back, 0, left, 0, back, top), Image.BICUBIC)
    position = rotation.T @ [0.0, 0.0, 2.7]
    pose = np.eye(4)
    pose[:3, :3] = rotation.T @ np.diag([1.0, -1.0, -1.0])
    pose[:3, 3] = position
    return square, [float(value) for value in pose.reshape(-1)] + INTRINSICS
