{{/*
What Kueue reads: the run is one group of pods. The Jobs have no label of Kueue, so that it never queues them one by one.
Without scheduling.queue, nothing of this is rendered.
*/}}

{{/*
Labels of a task pod: its queue, its group and its priority.
Argument: dict root. Output: YAML map, nothing without a queue
*/}}
{{- define "tf-distributed.queueLabels" -}}
{{- $scheduling := .root.Values.scheduling -}}
{{- if $scheduling.queue -}}
kueue.x-k8s.io/queue-name: {{ $scheduling.queue | quote }}
kueue.x-k8s.io/pod-group-name: {{ .root.Release.Name | quote }}
{{- with $scheduling.priority }}
kueue.x-k8s.io/priority-class: {{ . | quote }}
{{- end }}
{{- end -}}
{{- end }}

{{/*
Annotations of a task pod: the size of its group, and its role, after which Kueue names the pod set.
Argument: dict root, role. Output: YAML map, nothing without a queue
*/}}
{{- define "tf-distributed.queueAnnotations" -}}
{{- if .root.Values.scheduling.queue -}}
kueue.x-k8s.io/pod-group-total-count: {{ include "tf-distributed.tasks" (dict "root" .root "roles" (list "chief" "evaluator" "ps" "worker")) | quote }}
kueue.x-k8s.io/role-hash: {{ .role | quote }}
{{- end -}}
{{- end }}

{{/*
The tasks of a role as Kueue counts them: what a pod requests, and which nodes may run it.
Argument: dict root, role. Output: YAML map
*/}}
{{- define "tf-distributed.podSet" -}}
{{- $pod := (include "tf-distributed.pod" . | fromYaml).spec -}}
{{- $spec := pick $pod "affinity" "nodeSelector" "restartPolicy" "tolerations" -}}
{{- range $kind := list "initContainers" "containers" -}}
{{- $containers := list -}}
{{- range $container := index $pod $kind -}}
{{- $containers = append $containers (pick $container "name" "image" "resources" "restartPolicy") -}}
{{- end -}}
{{- with $containers -}}{{- $_ := set $spec $kind . -}}{{- end -}}
{{- end -}}
name: {{ .role | quote }}
count: {{ include "tf-distributed.replicas" . }}
template:
  spec:
    {{- toYaml $spec | nindent 4 }}
{{- end }}
