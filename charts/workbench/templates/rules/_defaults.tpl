{{/* Generated from values.yaml by `make docs`. */}}

{{/*
The keys that have a default, by block; "" is the top level. Quantities are left out: a file may remove them.
Argument: none. Output: JSON
*/}}
{{- define "tf-distributed.defaultKeys" -}}
{
"": ["image", "editor", "tensorboard", "idleAfter", "token", "resources", "gpus", "nodeSelector", "tolerations", "gpu", "scheduling", "imagePullPolicy", "imagePullSecrets", "serviceAccountName", "runAsUser", "home", "session", "network", "owner", "description", "labels"],
"token": ["key"],
"gpu": ["resource"],
"scheduling": ["queue", "priority", "priorityClassName"],
"home": ["size"],
"network": ["ingress", "egress"]
}
{{- end }}
