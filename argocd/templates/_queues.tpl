{{/* What a team with a queue of Kueue changes: which quota its namespace has, and which resources its queue must have. */}}

{{/*
Entries of a ResourceQuota that count what pods request. Pods that wait in a queue would count there, too.
Argument: none. Output: regular expression
*/}}
{{- define "argocd.counted" -}}
^(requests|limits)[.](.+/.+|cpu|memory|ephemeral-storage|hugepages-.+)$|^(cpu|memory|ephemeral-storage|hugepages-.+)$
{{- end }}

{{/*
Quota of the namespace of a team: its own entries over the common ones, without those that its queue replaces.
Argument: dict root, options (of the team). Output: JSON map
*/}}
{{- define "argocd.quota" -}}
{{- $quota := merge (dict) (.options.quota | default dict) .root.Values.quota -}}
{{- if .options.queue -}}
{{- range $name := keys $quota -}}
{{- if regexMatch (include "argocd.counted" $) $name -}}{{- $_ := unset $quota $name -}}{{- end -}}
{{- end -}}
{{- end -}}
{{ toJson $quota }}
{{- end }}

{{/*
Resources that each queue must have: Kueue never starts a run that requests another one.
They are those of all queues, those that the quota of a team with a queue names, and those of each pod.
Argument: dict root. Output: JSON list
*/}}
{{- define "argocd.queuedResources" -}}
{{- $found := dict "cpu" true "memory" true -}}
{{- range $options := .root.Values.teams -}}
{{- with ($options | default dict).queue -}}
{{- range $flavor := . -}}{{- range $name, $_ := $flavor -}}{{- $_ := set $found $name true -}}{{- end -}}{{- end -}}
{{- range $name, $_ := merge (dict) ($options.quota | default dict) $.root.Values.quota -}}
{{- if regexMatch "^requests[.](ephemeral-storage$|[a-z0-9.-]+/)" $name -}}
{{- $_ := set $found (trimPrefix "requests." $name) true -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{ keys $found | sortAlpha | toJson }}
{{- end }}
