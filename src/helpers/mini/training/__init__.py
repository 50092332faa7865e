"""Training of the miniatures: one module a kind of network, and the order in which all are made.

A generator is made in this order: `vae` (encoder, of the kind that families share), `text` (its text encoders),
`denoiser` (on cached latents), `vae` again (its decoder, with texture). `miniatures` does so for each
generator of `families`, then trains the judge (`mini.judge`), which measures them, then `mini.backbones` on renders
alone, and last `detectors`, on the FP32 images of the finished generators (`samples`). `folders` trains a detector on
anybody's images instead. What they all stand on, loop and data, is `mini.learning`.

Imports run one way: miniatures and folders -> detectors -> samples.
"""
