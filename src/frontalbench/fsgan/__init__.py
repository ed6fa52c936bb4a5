"""FSGANv2 around its networks: heat maps, several views of one face, completion and blending, landmarks turned. Facts: docs/fsgan.md."""
