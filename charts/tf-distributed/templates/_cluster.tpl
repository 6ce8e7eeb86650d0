{{/* The tasks of a run, the cluster that they form, and the identity that is hashed. */}}

{{/*
Number of tasks of a role: the replicas of the job file, or else the default of the strategy.
Argument: dict root, role. Output: a whole number
*/}}
{{- define "tf-distributed.replicas" -}}
{{- $strategy := .root.Values.strategy -}}
{{- $block := index .root.Values .role -}}
{{- if hasKey $block "replicas" -}}
{{ int $block.replicas }}
{{- else if eq .role "chief" -}}
{{ has $strategy (list "OneDevice" "Mirrored" "ParameterServer") | ternary 1 0 }}
{{- else if eq .role "ps" -}}
{{ eq $strategy "ParameterServer" | ternary 1 0 }}
{{- else if eq .role "worker" -}}
{{ has $strategy (list "MultiWorkerMirrored" "ParameterServer") | ternary 2 0 }}
{{- else -}}
0
{{- end -}}
{{- end }}

{{/*
Number of tasks of some roles together.
Argument: dict root, roles. Output: a whole number
*/}}
{{- define "tf-distributed.tasks" -}}
{{- $tasks := 0 -}}
{{- range $role := .roles -}}
{{- $tasks = add $tasks (include "tf-distributed.replicas" (dict "root" $.root "role" $role) | int) -}}
{{- end -}}
{{ $tasks }}
{{- end }}

{{/*
The cluster spec. It never contains the evaluator, because TensorFlow would wait for a server that no evaluator starts.
Argument: dict root. Output: JSON {"chief": [ADDRESS], "ps": [...], "worker": [...]}, roles without tasks left out
*/}}
{{- define "tf-distributed.cluster" -}}
{{- $root := .root -}}
{{- $cluster := dict -}}
{{- range $role := list "chief" "ps" "worker" -}}
{{- $addresses := list -}}
{{- range $index := until (include "tf-distributed.replicas" (dict "root" $root "role" $role) | int) -}}
{{- $addresses = append $addresses (include "tf-distributed.address" (dict "root" $root "role" $role "index" $index)) -}}
{{- end -}}
{{- if $addresses -}}{{- $_ := set $cluster $role $addresses -}}{{- end -}}
{{- end -}}
{{ toJson $cluster }}
{{- end }}

{{/*
TF_CONFIG of a role. The kubelet fills in the cluster spec and the index, so its size in a pod template is constant.
Argument: dict role. Output: JSON with $(TF_CLUSTER) and $(TASK_INDEX)
*/}}
{{- define "tf-distributed.tfConfig" -}}
{"cluster":$(TF_CLUSTER),"task":{"type":{{ toJson .role }},"index":$(TASK_INDEX)}}
{{- end }}

{{/*
Bytes of the longest environment string of any task: "TF_CONFIG=", the expanded text, and the closing NUL.
Argument: dict root. Output: a whole number
*/}}
{{- define "tf-distributed.tfConfigBytes" -}}
{{- $root := .root -}}
{{- $cluster := include "tf-distributed.cluster" . -}}
{{- $longest := 0 -}}
{{- range $role := list "chief" "ps" "worker" "evaluator" -}}
{{- $last := sub (include "tf-distributed.replicas" (dict "root" $root "role" $role) | int) 1 -}}
{{- $text := include "tf-distributed.tfConfig" (dict "role" $role) | replace "$(TASK_INDEX)" (toString $last) -}}
{{- $bytes := add (len "TF_CONFIG=") (len $text) (len $cluster) 1 | add (mul -1 (len "$(TF_CLUSTER)")) -}}
{{- if ge (int $last) 0 -}}{{- $longest = max $longest $bytes -}}{{- end -}}
{{- end -}}
{{ $longest }}
{{- end }}

{{/*
What is trained: the identity keys of the job file with their defaults, and nothing else. workingDir and the images of
roles are left out where they are unset.
Argument: dict root. Output: JSON
*/}}
{{- define "tf-distributed.identity" -}}
{{- $root := .root -}}
{{- $identity := dict -}}
{{- range $key := list "chartVersion" "strategy" "image" "command" "args" "env" "trainer" "storage" "data" "warmStartFrom" -}}
{{- $_ := set $identity $key (index $root.Values $key) -}}
{{- end -}}
{{- with $root.Values.mounts -}}{{- $_ := set $identity "mounts" . -}}{{- end -}}
{{- $_ := set $identity "code" (omit $root.Values.code "image") -}}
{{- with $root.Values.workingDir -}}{{- $_ := set $identity "workingDir" . -}}{{- end -}}
{{- $replicas := dict -}}
{{- $images := dict -}}
{{- range $role := list "chief" "ps" "worker" "evaluator" -}}
{{- $_ := set $replicas $role (include "tf-distributed.replicas" (dict "root" $root "role" $role) | int) -}}
{{- with (index $root.Values $role).image -}}{{- $_ := set $images $role . -}}{{- end -}}
{{- end -}}
{{- with $images -}}{{- $_ := set $identity "images" . -}}{{- end -}}
{{ set $identity "replicas" $replicas | toJson }}
{{- end }}

{{/*
Hash of the identity. Runs with the same hash train the same model in the same way.
Argument: dict root. Output: sha256:HEX
*/}}
{{- define "tf-distributed.hash" -}}
sha256:{{ include "tf-distributed.identity" . | sha256sum }}
{{- end }}
