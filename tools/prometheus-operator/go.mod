module tf-distributed/tools/prometheus-operator

go 1.26.0

// scripts/kubernetes-schemas.py reads the CRD of PodMonitor. No program is built.
require github.com/prometheus-operator/prometheus-operator v0.95.2
