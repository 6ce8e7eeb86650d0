{{/* Rules of queues: Kueue queues the run as one unit, or not at all. */}}

{{/*
Rules of scheduling.queue and scheduling.priority, and of labels that would queue parts of a run.
Argument: dict root. Output: JSON list of messages
*/}}
{{- define "tf-distributed.queueProblems" -}}
{{- $problems := list -}}
{{- $values := .root.Values -}}
{{- $queue := $values.scheduling.queue -}}
{{- $priority := $values.scheduling.priority -}}

{{- /* Kueue gives this queue to every Job without one, and so would queue the Jobs of the run one by one. */ -}}
{{- if eq $queue "default" -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "scheduling.queue" "got" (include "tf-distributed.shown" $queue)
  "expected" "a queue of another name, because Kueue gives this one to each Job of a run by itself"
  "fix" "Set the name of another LocalQueue.")) -}}
{{- end -}}

{{- /* Only a queue has an order. */ -}}
{{- if and $priority (not $queue) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "scheduling.priority" "got" (include "tf-distributed.shown" $priority)
  "expected" "no priority without scheduling.queue"
  "fix" "Set scheduling.queue, or set scheduling.priorityClassName for a run without a queue.")) -}}
{{- end -}}

{{- /* The chief would hold its GPUs while its workers wait in the queue. */ -}}
{{- range $name, $_ := $values.labels -}}
{{- if regexMatch "^([^/]+[.])?kueue[.]x-k8s[.]io/" $name -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "labels" "got" (include "tf-distributed.shown" $name)
  "expected" "no label of kueue.x-k8s.io, because Kueue would queue each Job of the run by itself"
  "fix" "Remove the label and set scheduling.queue.")) -}}
{{- end -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}
