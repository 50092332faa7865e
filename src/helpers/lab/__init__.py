"""The lab: what a browser needs to make and judge images itself, written by `python -m helpers.lab`."""
