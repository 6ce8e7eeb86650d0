"""A Kubernetes cluster on this machine, as root, out of pinned Go modules and Debian's packages.

The control plane is one set of kernel namespaces (network, processes, mounts), and so is every node. Each is held by
one process, its init; when that is gone the kernel takes away all that was in it: processes, containers, mounts,
bridges, rules. So nothing can be left behind, and killing a node's init is what losing a machine is.
"""
