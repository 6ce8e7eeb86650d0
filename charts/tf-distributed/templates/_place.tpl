{{/* Which nodes the scheduler prefers. Both forms are soft: a task that no other node has room for starts anyway. */}}

{{/*
spread: the tasks of a role on different nodes. pack: all tasks of the run on few nodes.
Argument: dict root, role. Output: YAML map, nothing for any
*/}}
{{- define "tf-distributed.place" -}}
{{- $place := .root.Values.scheduling.place -}}
{{- if eq $place "spread" }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "tf-distributed.podLabels" . | nindent 8 }}
{{- else if eq $place "pack" }}
affinity:
  podAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "tf-distributed.taskSelector" . | nindent 14 }}
{{- end }}
{{- end }}
