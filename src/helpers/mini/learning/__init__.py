"""What every training of a miniature stands on, and nothing of any one network.

`loop` is the resumable loop under all of them, `fitting` the same with validation, `data` the pools of renders and of
their latents. The judge, the backbones and the modules of `mini.training` are built on it; it knows none of them.
"""
