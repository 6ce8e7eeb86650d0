{{/* The Job that all four roles share. */}}

{{/*
Indexed Job of a role. The output is empty for a role without tasks and for an archived run.
Mutable keys set only the fields that may change on a live Job: suspend, activeDeadlineSeconds, backoffLimit.
Argument: dict root, role. Output: YAML document
*/}}
{{- define "tf-distributed.job" -}}
{{- $values := .root.Values -}}
{{- $replicas := include "tf-distributed.replicas" . | int -}}
{{- if and $replicas (ne $values.state "archived") -}}
apiVersion: batch/v1
kind: Job
metadata:
  {{- include "tf-distributed.metadata" (dict "root" .root "role" .role "name" (include "tf-distributed.name" .)) | nindent 2 }}
spec:
  completionMode: Indexed
  completions: {{ $replicas }}
  parallelism: {{ $replicas }}
  suspend: {{ eq $values.state "suspended" }}
  activeDeadlineSeconds: {{ include "tf-distributed.seconds" $values.deadline }}
  {{- if has .role (list "ps" "worker") }}
  # Each task has its own number of retries.
  backoffLimitPerIndex: {{ $values.failure.retriesPerTask | int }}
  {{- $chief := include "tf-distributed.replicas" (dict "root" .root "role" "chief") | int }}
  {{- if include "tf-distributed.isElastic" . }}
  # The run is done when one worker ends with 0: pods that are still pending are deleted with the others.
  successPolicy: {rules: [{succeededCount: 1}]}
  {{- else if or $values.scheduling.queue (ne .role "worker") (ne $values.strategy "ParameterServer") (not $chief) }}
  # The other tasks cannot continue without this one. Only ParameterServer with a chief can train with fewer workers.
  maxFailedIndexes: 0
  {{- end }}
  {{- else }}
  backoffLimit: {{ $values.retries | int }}
  {{- end }}
  # A replacement has the same address in the cluster spec, so it waits until the old pod has ended.
  podReplacementPolicy: Failed
  podFailurePolicy:
    rules:
      # This rule is the first, so that a preempted or drained pod never counts as a failure.
      - action: Ignore
        onPodConditions:
          - type: DisruptionTarget
            status: "True"
          {{- if $values.scheduling.queue }}
          # Kueue sets it when it stops a run for another one.
          - type: TerminationTarget
            status: "True"
          {{- end }}
      {{- with include "tf-distributed.permanentExitCodes" . | fromJsonArray }}
      - action: FailJob
        onExitCodes:
          containerName: trainer
          operator: In
          values: {{ toJson . }}
      {{- end }}
  template:
    {{- include "tf-distributed.pod" . | nindent 4 }}
{{- end -}}
{{- end }}

{{/*
Exit codes that end the Job without a retry, in the ascending order that Kubernetes requires.
A custom command usually exits with 1 when it loses a peer, so 1 is retried there by default.
Argument: dict root. Output: JSON list
*/}}
{{- define "tf-distributed.permanentExitCodes" -}}
{{- $values := .root.Values -}}
{{- $codes := hasKey $values "command" | ternary (list 2 76 126 127) (list 1 2 76 126 127) -}}
{{- if hasKey $values.failure "permanentExitCodes" -}}
{{- $codes = $values.failure.permanentExitCodes -}}
{{- end -}}
{{- $wanted := dict -}}
{{- range $codes -}}{{- $_ := set $wanted (int . | toString) true -}}{{- end -}}
{{- $sorted := list -}}
{{- range $code := untilStep 1 256 1 -}}
{{- if hasKey $wanted (toString $code) -}}{{- $sorted = append $sorted $code -}}{{- end -}}
{{- end -}}
{{ toJson $sorted }}
{{- end }}
