module tf-distributed/tools/kueue

go 1.26.0

// scripts/kubernetes-schemas.py reads the CRD of Workload. No program is built.
require sigs.k8s.io/kueue v0.19.2
