{{/* The places that only a run reaches, as parts of a NetworkPolicy. */}}

{{/*
Google Cloud Storage, if the run uses it.
Argument: dict root. Output: YAML list of egress rules, nothing without a bucket
*/}}
{{- define "tf-distributed.storageEgress" -}}
{{- $values := .root.Values -}}
{{- if or $values.storage.uri $values.data.uri }}
{{- include "tf-distributed.bucketEgress" . }}
{{- end }}
{{- end }}

{{/*
The host of code.git. A policy cannot name a host, so this is its port at every address.
Argument: dict root. Output: YAML list of egress rules, nothing without code.git
*/}}
{{- define "tf-distributed.codeEgress" -}}
{{- with .root.Values.code.git }}
{{- $port := regexFind "^https://[^/]+:[0-9]+/" .repository | trimSuffix "/" | splitList ":" | last }}
- ports: [{protocol: TCP, port: {{ regexMatch "^[0-9]+$" $port | ternary $port "443" }}}]
  to:
    {{- include "tf-distributed.anywhere" . | nindent 4 }}
{{- end }}
{{- end }}
