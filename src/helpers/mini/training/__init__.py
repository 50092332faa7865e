"""Training of the miniatures: one module a kind of network, what they share, and the order in which all are made.

A generator is made in this order: `vae` (encoder, of the kind that families share), `text` (its text encoders),
`denoiser` (on the cached latents of `data`), `vae` again (its decoder, with texture). `miniatures` does so for each
generator of `families`, then trains the judge (`mini.judge`), which measures them, then `mini.backbones` on renders
alone, and last `detectors`, on the FP32 images of the finished generators (`samples`). `folders` trains a detector on
anybody's images instead. `loop` is the resumable loop under all of it, `fitting` the same with validation.

Imports run one way: miniatures and folders -> detectors -> samples -> data -> loop.
"""
