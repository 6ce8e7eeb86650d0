{{/* Rules of scheduling and TensorBoard. */}}

{{/*
Rules of gang scheduling and of other schedulers.
Argument: dict root. Output: JSON list of messages
*/}}
{{- define "tf-distributed.schedulingProblems" -}}
{{- $problems := list -}}
{{- $values := .root.Values -}}
{{- $version := .root.Capabilities.KubeVersion.Version -}}

{{- /* Only the scheduler of Kubernetes reads the PodGroup of Kubernetes. */ -}}
{{- $scheduler := $values.scheduling.schedulerName -}}
{{- if and $values.scheduling.gang (not (has $scheduler (list "" "default-scheduler"))) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "scheduling.schedulerName" "got" (include "tf-distributed.shown" $scheduler)
  "expected" "no other scheduler for scheduling.gang"
  "fix" "Remove scheduling.schedulerName, or scheduling.gang if that scheduler starts all tasks together itself.")) -}}
{{- end -}}

{{- /* Only Volcano reads the name of its queue. */ -}}
{{- $queue := index $values.podAnnotations "scheduling.volcano.sh/queue-name" -}}
{{- if and $queue (not $scheduler) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "podAnnotations" "got" (printf "scheduling.volcano.sh/queue-name: %s" (include "tf-distributed.shown" $queue))
  "expected" "no queue of Volcano without scheduling.schedulerName"
  "fix" "Set scheduling.schedulerName: volcano, or remove the annotation.")) -}}
{{- end -}}

{{- /* Kubernetes serves PodGroup, a beta API, from 1.37 on. */ -}}
{{- if and $values.scheduling.gang (ne $values.state "archived") (semverCompare "<1.37.0-0" $version) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "scheduling.gang" "got" (printf "true for Kubernetes %s" $version) "expected" "Kubernetes 1.37 or later"
  "fix" "Set scheduling.gang: false or use a newer cluster.")) -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}
