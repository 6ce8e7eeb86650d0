{{/* Every name and label of the chart. Every object has the name of the workbench and an end. */}}

{{/*
Prefix of the labels and annotations that the project defines. Kubernetes requires a DNS subdomain.
Argument: none. Output: DNS subdomain
*/}}
{{- define "tf-distributed.prefix" -}}
tf-distributed.github.io
{{- end }}

{{/*
Name of the Service and the NetworkPolicy. No run has a name with this end, so that no run owns the same objects.
Argument: dict root. Output: NAME-workbench
*/}}
{{- define "tf-distributed.name" -}}
{{ .root.Release.Name }}-workbench
{{- end }}

{{/*
Name of the Job. Its pod template is immutable, so a change needs another Job.
Argument: dict root. Output: NAME-workbench-SESSION
*/}}
{{- define "tf-distributed.jobName" -}}
{{ include "tf-distributed.name" . }}-{{ .root.Values.session | int }}
{{- end }}

{{/*
Claim of the home folder.
Argument: dict root. Output: NAME-home
*/}}
{{- define "tf-distributed.homeClaim" -}}
{{ .root.Release.Name }}-home
{{- end }}

{{/*
Secret with the token.
Argument: dict root. Output: the name in the file, or NAME-workbench-token
*/}}
{{- define "tf-distributed.tokenSecret" -}}
{{ .root.Values.token.secret | default (printf "%s-workbench-token" .root.Release.Name) }}
{{- end }}

{{/*
Labels that select the pod of a workbench. They are part of immutable selectors, so they never change.
Argument: dict root. Output: YAML map
*/}}
{{- define "tf-distributed.podLabels" -}}
app.kubernetes.io/name: workbench
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
{{- end }}

{{/*
Metadata of an object (never of a pod): it holds the chart version, the owner, the description and the labels.
Argument: dict root, name, labels (dict, optional), annotations (dict, optional). Output: YAML map
*/}}
{{- define "tf-distributed.metadata" -}}
{{- $values := .root.Values -}}
{{- $annotations := .annotations | default dict -}}
{{- range $key := list "owner" "description" -}}
{{- with index $values $key -}}
{{- $_ := set $annotations (printf "%s/%s" (include "tf-distributed.prefix" .) $key) . -}}
{{- end -}}
{{- end -}}
name: {{ .name | quote }}
namespace: {{ .root.Release.Namespace | quote }}
labels:
  {{- include "tf-distributed.podLabels" . | nindent 2 }}
  app.kubernetes.io/managed-by: {{ .root.Release.Service }}
  app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
  helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
  {{- with merge (.labels | default dict) $values.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/*
Memory of a workbench whose file names none: JupyterLab, TensorBoard and a notebook with TensorFlow.
Argument: none. Output: a quantity
*/}}
{{- define "tf-distributed.defaultMemory" -}}
4Gi
{{- end }}
