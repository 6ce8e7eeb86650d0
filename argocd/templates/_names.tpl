{{/*
Prefix of the labels that the project defines, the same as in the chart of the runs.
Argument: none. Output: DNS subdomain
*/}}
{{- define "argocd.prefix" -}}
tf-distributed.github.io
{{- end }}
