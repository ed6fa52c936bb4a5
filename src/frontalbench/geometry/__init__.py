"""Geometry: alignment (similarity), rotations and pose angles, crop and paste-back, triangle rasterizer. Import the modules themselves."""
