{{/* Rules of the resources and tolerations of all roles. */}}

{{/*
Rules of requests and limits.
Argument: dict root. Output: JSON list of messages
*/}}
{{- define "tf-distributed.quantityProblems" -}}
{{- $values := .root.Values -}}
{{- $problems := list -}}
{{- range $role := list "chief" "ps" "worker" "evaluator" "tensorboard" -}}
{{- $resources := (index $values $role).resources -}}
{{- if ne $role "tensorboard" -}}
{{- $resources = include "tf-distributed.blockResources" (index $values $role) | fromJson -}}
{{- end -}}
{{- $argument := dict "at" (printf "%s." $role) "resources" $resources "gpu" $values.gpu.resource -}}
{{- $problems = concat $problems (include "tf-distributed.blockQuantityProblems" $argument | fromJsonArray) -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}

{{/*
Rules of tolerations.
Argument: dict root. Output: JSON list of messages
*/}}
{{- define "tf-distributed.tolerationProblems" -}}
{{- $values := .root.Values -}}
{{- $problems := list -}}
{{- range $role := list "chief" "ps" "worker" "evaluator" -}}
{{- $argument := dict "at" (printf "%s." $role) "tolerations" (index $values $role).tolerations -}}
{{- $problems = concat $problems (include "tf-distributed.blockTolerationProblems" $argument | fromJsonArray) -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}
