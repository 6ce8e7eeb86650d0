{{/* Generated from values.yaml by `make docs`. */}}

{{/*
The keys that have a default, by block; "" is the top level. Quantities are left out: a job file may remove them.
Argument: none. Output: JSON
*/}}
{{- define "tf-distributed.defaultKeys" -}}
{
"": ["strategy", "image", "env", "trainer", "code", "data", "mounts", "chief", "ps", "worker", "evaluator", "state", "deadline", "retries", "tensorboard", "owner", "description", "labels", "logFormat", "imagePullPolicy", "imagePullSecrets", "serviceAccountName", "runAsUser", "readOnlyRoot", "podAnnotations", "gpu", "failure", "scheduling", "network", "metrics"],
"trainer": ["task", "steps", "batchSize", "seed", "checkpointEvery", "keepCheckpoints", "summaryEvery", "precision", "jitCompile", "profileSteps", "hyperparameters"],
"code": ["image"],
"data": ["claim", "uri"],
"chief": ["resources", "gpus", "nodeSelector", "tolerations"],
"ps": ["resources", "gpus", "nodeSelector", "tolerations"],
"worker": ["resources", "gpus", "nodeSelector", "tolerations"],
"evaluator": ["resources", "gpus", "nodeSelector", "tolerations"],
"tensorboard": ["enabled", "image", "resources"],
"gpu": ["resource"],
"failure": ["startTimeout", "orphanTimeout", "rescaleAfter", "gracePeriod", "maxInPlaceRestarts", "retriesPerTask"],
"scheduling": ["gang", "priorityClassName", "schedulerName", "place", "queue", "priority"],
"network": ["port", "egress"],
"metrics": ["enabled", "port", "namespace", "podMonitor"]
}
{{- end }}
