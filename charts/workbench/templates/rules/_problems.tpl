{{/* The rules between keys that the schema cannot express: one comment per rule, one define per subject. */}}

{{/*
All problems of a workbench file. A missing default hides the others, because their rules need its value.
Argument: the root context, or a dict of its Values, Chart, Release and Capabilities. Output: JSON list of messages
*/}}
{{- define "tf-distributed.problems" -}}
{{- $problems := include "tf-distributed.missingDefaults" . | fromJsonArray -}}
{{- if not $problems -}}
{{- $values := .Values -}}
{{- range $subject := list "release" "program" "storage" "queue" "network" -}}
{{- $found := include (printf "tf-distributed.%sProblems" $subject) (dict "root" $) -}}
{{- $problems = concat $problems (fromJsonArray $found) -}}
{{- end -}}
{{- $resources := include "tf-distributed.blockResources" $values | fromJson -}}
{{- $block := dict "at" "" "block" $values "resources" $resources "tolerations" $values.tolerations "gpu" $values.gpu.resource -}}
{{- range $subject := list "Quantity" "Shm" "Toleration" -}}
{{- $found := include (printf "tf-distributed.block%sProblems" $subject) $block -}}
{{- $problems = concat $problems (fromJsonArray $found) -}}
{{- end -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}

{{/*
Rules of the programs and their GPUs.
Argument: dict root. Output: JSON list of messages
*/}}
{{- define "tf-distributed.programProblems" -}}
{{- $problems := list -}}
{{- $values := .root.Values -}}
{{- $resources := $values.resources -}}

{{- /* A workbench without a program has nothing to run. */ -}}
{{- if not (or $values.editor $values.tensorboard) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "tensorboard" "got" "false" "expected" "true without editor"
  "fix" "Set editor: true or tensorboard: true.")) -}}
{{- end -}}

{{- /* TensorBoard computes nothing, and only JupyterLab ends by itself. */ -}}
{{- if and $values.gpus (not $values.editor) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "gpus" "got" (int $values.gpus) "expected" "0 without editor, because TensorBoard never ends by itself"
  "fix" "Remove gpus, or set editor: true.")) -}}
{{- end -}}

{{- /* A good limit depends on the model and on the node, and the pod above it is killed. */ -}}
{{- $named := or (hasKey ($resources.requests | default dict) "memory") (hasKey ($resources.limits | default dict) "memory") -}}
{{- if and $values.gpus (not $named) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "resources.limits.memory" "got" "nothing" "expected" "the memory of a workbench with GPUs"
  "fix" "Set resources.limits.memory, for example 32Gi, or null for no limit.")) -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}

{{/*
Rules of the runs that the workbench shows.
Argument: dict root. Output: JSON list of messages
*/}}
{{- define "tf-distributed.storageProblems" -}}
{{- $problems := list -}}
{{- $values := .root.Values -}}
{{- $storage := $values.storage | default dict -}}

{{- /* Without notebooks, TensorBoard shows what runs have written. */ -}}
{{- if not (or $values.editor $storage) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "storage" "got" "nothing" "expected" "the storage of the runs for a workbench without editor"
  "fix" "Set storage.claim or storage.uri of those runs.")) -}}
{{- end -}}

{{- /* The service account of the pod decides who writes to a bucket. */ -}}
{{- if and $storage.uri $storage.writable -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "storage.writable" "got" "true" "expected" "no writable next to storage.uri, because nothing mounts a bucket"
  "fix" "Remove storage.writable. The rights of serviceAccountName decide.")) -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}

{{/*
Rules of the queue.
Argument: dict root. Output: JSON list of messages
*/}}
{{- define "tf-distributed.queueProblems" -}}
{{- $problems := list -}}
{{- $scheduling := .root.Values.scheduling -}}

{{- /* Only a queue has an order. */ -}}
{{- if and $scheduling.priority (not $scheduling.queue) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "scheduling.priority" "got" (include "tf-distributed.shown" $scheduling.priority)
  "expected" "no priority without scheduling.queue"
  "fix" "Set scheduling.queue, or set scheduling.priorityClassName without a queue.")) -}}
{{- end -}}

{{- /* The review reads the queue from its key. */ -}}
{{- range $name, $_ := .root.Values.labels -}}
{{- if regexMatch "^([^/]+[.])?kueue[.]x-k8s[.]io/" $name -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "labels" "got" (include "tf-distributed.shown" $name)
  "expected" "the queue in the key scheduling.queue only" "fix" "Remove the label and set scheduling.queue.")) -}}
{{- end -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}
