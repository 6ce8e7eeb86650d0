{{/* The Kubernetes Job that all four roles share. */}}

{{/*
Indexed Job of a role. Renders nothing for a role without tasks and for an archived run.
Mutable keys only reach fields that Kubernetes lets change on a live Job: suspend, activeDeadlineSeconds, backoffLimit.
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
  # Each task has its own budget.
  backoffLimitPerIndex: {{ $values.failure.retriesPerTask | int }}
  {{- if not (and (eq .role "worker") (eq $values.strategy "ParameterServer")) }}
  # The others cannot continue without this task. Only ParameterServer continues with the remaining workers.
  maxFailedIndexes: 0
  {{- end }}
  {{- else }}
  backoffLimit: {{ $values.retries | int }}
  {{- end }}
  # No replacement before the old pod has terminated: both would own one address in TF_CONFIG.
  podReplacementPolicy: Failed
  podFailurePolicy:
    rules:
      # First, so that a preempted or drained pod is never counted.
      - action: Ignore
        onPodConditions:
          - type: DisruptionTarget
            status: "True"
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
Exit codes that end the Job at once, in ascending order, which Kubernetes requires.
1 is what any Python program of one's own leaves with when it lost a peer: not final there by default.
Argument: dict root. Output: JSON list
*/}}
{{- define "tf-distributed.permanentExitCodes" -}}
{{- $values := .root.Values -}}
{{- $codes := empty $values.command | ternary (list 1 2 76 126 127) (list 2 76 126 127) -}}
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
