"""The miniatures: their networks, their training from nothing, and what is measured of them."""

import logging

# On some CPUs bitsandbytes, which diffusers imports, warns of a package that only its BF16 kernels there need.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
