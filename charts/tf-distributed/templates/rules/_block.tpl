{{/*
Rules of the resources and tolerations of one block. Kubernetes would refuse each of them, but only at the first pod.
The chart of the workbench has a copy of this file.
*/}}

{{/*
Rules of requests and limits.
Argument: dict at (path of the block, with a dot at its end, or nothing), resources, gpu. Output: JSON list of messages
*/}}
{{- define "tf-distributed.blockQuantityProblems" -}}
{{- $at := .at -}}
{{- $gpu := .gpu -}}
{{- $problems := list -}}
{{- $limits := .resources.limits | default dict -}}

{{- /* GPUs have one key, so that topology and limits can be read off it. */ -}}
{{- range $kind, $quantities := .resources -}}
{{- if hasKey ($quantities | default dict) $gpu -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" (printf "%sresources.%s" $at $kind) "got" (include "tf-distributed.shown" $gpu)
  "expected" "GPUs in the key gpus only" "fix" (printf "Remove %s and set the key gpus." $gpu))) -}}
{{- end -}}
{{- end -}}

{{- $wrong := dict -}}
{{- range $kind, $quantities := .resources -}}
{{- range $name, $quantity := $quantities -}}
{{- $number := include "tf-distributed.quantity" $quantity | float64 -}}
{{- $about := dict "key" (printf "%sresources.%s.%s" $at $kind $name) "got" (include "tf-distributed.shown" $quantity) -}}

{{- /* A number alone counts bytes, and m means a thousandth of one. No program starts with so little. */ -}}
{{- if and (has $name (list "memory" "ephemeral-storage")) (lt $number 1048576.0) -}}
{{- $_ := set $wrong $name true -}}
{{- $problems = append $problems (include "tf-distributed.problem" (merge (dict
  "expected" "at least 1Mi" "fix" "Set a size with its unit, for example 4Gi.") $about)) -}}
{{- end -}}

{{- /* No node has more, so the pod would wait for one until the deadline. */ -}}
{{- if and (eq $name "cpu") (gt $number 4096.0) -}}
{{- $_ := set $wrong $name true -}}
{{- $problems = append $problems (include "tf-distributed.problem" (merge (dict
  "expected" "at most 4096 CPUs" "fix" "Set a number of CPUs, for example 4 or 500m.") $about)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- range $name, $request := .resources.requests -}}
{{- $limit := index $limits $name -}}
{{- if and (ne (toString $request) (toString $limit)) (not (hasKey $wrong $name)) -}}
{{- $shown := toRawJson $request -}}
{{- $about := dict "key" (printf "%sresources.requests.%s" $at $name) "got" $shown -}}
{{- $limitKey := printf "%sresources.limits.%s" $at $name -}}

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
{{ $problems | default list | toRawJson }}
{{- end }}

{{/*
Rules of shm.
Argument: dict at (path of the block), block. Output: JSON list of messages
*/}}
{{- define "tf-distributed.blockShmProblems" -}}
{{- $problems := list -}}
{{- $shm := .block.shm -}}
{{- $resources := include "tf-distributed.blockResources" .block | fromJson -}}
{{- $limit := index ($resources.limits | default dict) "memory" -}}

{{- /* Files in /dev/shm count as memory of the container. */ -}}
{{- if and $shm $limit (gt (include "tf-distributed.quantity" $shm | float64) (include "tf-distributed.quantity" $limit | float64)) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" (printf "%sshm" .at) "got" (include "tf-distributed.shown" $shm)
  "expected" (printf "at most the memory limit %s, because /dev/shm is memory" (include "tf-distributed.shown" $limit))
  "fix" (printf "Set a larger %sresources.limits.memory or a smaller shm." .at))) -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}

{{/*
Rules of tolerations.
Argument: dict at (path of the block), tolerations. Output: JSON list of messages
*/}}
{{- define "tf-distributed.blockTolerationProblems" -}}
{{- $at := .at -}}
{{- $problems := list -}}
{{- range $index, $toleration := .tolerations -}}
{{- $key := printf "%stolerations[%d]" $at $index -}}
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
{{ $problems | default list | toRawJson }}
{{- end }}
