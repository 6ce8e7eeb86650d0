"""A Kubernetes cluster for development on this machine, as root, from pinned Go modules and Debian packages.

The control plane runs in one set of kernel namespaces (network, PID, mount), and so does every node. One process, the
init, holds each set. When the init dies, the kernel removes everything in the set: processes, containers, mounts,
bridges and rules. Therefore nothing is left behind, and killing a node's init has the effect of a lost machine.
"""
