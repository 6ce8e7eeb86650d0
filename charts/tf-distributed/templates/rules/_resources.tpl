{{/* Rules of a pod's resources and tolerations. Kubernetes would refuse each of them, but only at the first pod. */}}

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
{{- $resources = include "tf-distributed.roleResources" (dict "root" $.root "role" $role) | fromJson -}}
{{- end -}}
{{- $limits := $resources.limits | default dict -}}

{{- /* GPUs have one key, so that topology and limits can be read off it. */ -}}
{{- range $kind, $quantities := $resources -}}
{{- if hasKey ($quantities | default dict) $values.gpu.resource -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" (printf "%s.resources.%s" $role $kind) "got" (include "tf-distributed.shown" $values.gpu.resource)
  "expected" "GPUs in the key gpus only"
  "fix" (printf "Remove %s and set gpus of a role that computes." $values.gpu.resource))) -}}
{{- end -}}
{{- end -}}

{{- range $name, $request := $resources.requests -}}
{{- $limit := index $limits $name -}}
{{- if ne (toString $request) (toString $limit) -}}
{{- $shown := toRawJson $request -}}
{{- $about := dict "key" (printf "%s.resources.requests.%s" $role $name) "got" $shown -}}
{{- $limitKey := printf "%s.resources.limits.%s" $role $name -}}

{{- /* A request must not be above its limit. */ -}}
{{- if and $limit (gt (include "tf-distributed.quantity" $request | float64) (include "tf-distributed.quantity" $limit | float64)) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (merge (dict
  "expected" (printf "at most the limit %s" (include "tf-distributed.shown" $limit))
  "fix" (printf "Set %s: %s or a lower request." $limitKey $shown)) $about)) -}}

{{- /* Resources with a domain in their name need equal requests and limits. */ -}}
{{- else if contains "/" $name -}}
{{- $problems = append $problems (include "tf-distributed.problem" (merge (dict
  "expected" "an equal limit" "fix" (printf "Set %s: %s." $limitKey $shown)) $about)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
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
{{- range $index, $toleration := (index $values $role).tolerations -}}
{{- $key := printf "%s.tolerations[%d]" $role $index -}}
{{- $operator := toString $toleration.operator -}}

{{- /* Operator Exists compares no value. */ -}}
{{- if and (eq $operator "Exists") $toleration.value -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" (printf "%s.value" $key) "got" (include "tf-distributed.shown" $toleration.value)
  "expected" "no value for operator Exists" "fix" "Remove value or set operator: Equal.")) -}}
{{- end -}}

{{- /* Only operator Exists tolerates every taint. */ -}}
{{- if and (not $toleration.key) (ne $operator "Exists") -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" $key "got" (include "tf-distributed.shown" $toleration)
  "expected" "a key or operator Exists" "fix" "Set key or operator: Exists.")) -}}
{{- end -}}

{{- /* Only NoExecute taints evict pods, so only they have a time. */ -}}
{{- if and (hasKey $toleration "tolerationSeconds") (ne (toString $toleration.effect) "NoExecute") -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" (printf "%s.tolerationSeconds" $key) "got" (int64 $toleration.tolerationSeconds)
  "expected" "no seconds without effect NoExecute" "fix" "Set effect: NoExecute or remove tolerationSeconds.")) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}
