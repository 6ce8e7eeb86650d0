"""The release: signed packages, charts and images, and its rehearsal on this machine.

`scripts/release.sh` and `make release-rehearsal` run the same steps. They differ in the registry, the base images
and the key that signs.
"""
