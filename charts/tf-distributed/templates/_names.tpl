{{/* Every name, address and label of the chart. Every object has the name of the run, or that name, a hyphen and an end. */}}

{{/*
Prefix of the labels and annotations that the project defines. Kubernetes requires a DNS subdomain.
Argument: none. Output: DNS subdomain
*/}}
{{- define "tf-distributed.prefix" -}}
tf-distributed.github.io
{{- end }}

{{/*
Name of the Job of a role, or of another object with an end. The host name of a pod is this name and its index.
Argument: dict root, role. Output: RUN-ROLE
*/}}
{{- define "tf-distributed.name" -}}
{{ .root.Release.Name }}-{{ .role }}
{{- end }}

{{/*
Ends of names of objects whose kind also has an object with the name of the run: ConfigMap, Service, NetworkPolicy.
No run may have a name with such an end, so that two runs never share an object. The objects of a workbench end with
-workbench.
Argument: none. Output: JSON list
*/}}
{{- define "tf-distributed.reservedEnds" -}}
["code", "tensorboard", "workbench"]
{{- end }}

{{/*
Memory of a task whose job file names none.
Argument: none. Output: a quantity
*/}}
{{- define "tf-distributed.defaultMemory" -}}
2Gi
{{- end }}

{{/*
Address of a task: the host name that an Indexed Job gives its pod, inside the run's headless Service.
Argument: dict root, role, index. Output: RUN-ROLE-INDEX.RUN:PORT
*/}}
{{- define "tf-distributed.address" -}}
{{ include "tf-distributed.name" . }}-{{ .index }}.{{ .root.Release.Name }}:{{ .root.Values.network.port | int }}
{{- end }}

{{/*
Labels that select the pods of one component of a run. They are part of immutable selectors, so they never change.
Argument: dict root, role. Output: YAML map
*/}}
{{- define "tf-distributed.podLabels" -}}
app.kubernetes.io/name: tf-distributed
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .role }}
{{- end }}

{{/*
Labels that all task pods of a run have and its TensorBoard lacks. Service and NetworkPolicy select them.
Argument: dict root. Output: YAML map
*/}}
{{- define "tf-distributed.taskSelector" -}}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
{{ include "tf-distributed.prefix" . }}/pod: task
{{- end }}

{{/*
Metadata of an object (never of a pod): it holds the chart version, the owner, the description and the labels.
Argument: dict root, name, role (component), annotations (dict, optional). Output: YAML map
*/}}
{{- define "tf-distributed.metadata" -}}
{{- $values := .root.Values -}}
name: {{ .name | quote }}
namespace: {{ .root.Release.Namespace | quote }}
labels:
  {{- include "tf-distributed.podLabels" . | nindent 2 }}
  app.kubernetes.io/managed-by: {{ .root.Release.Service }}
  app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
  helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
  {{- with $values.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  {{ include "tf-distributed.prefix" . }}/hash: {{ include "tf-distributed.hash" . }}
  {{- with $values.owner }}
  {{ include "tf-distributed.prefix" . }}/owner: {{ toJson . }}
  {{- end }}
  {{- with $values.description }}
  {{ include "tf-distributed.prefix" . }}/description: {{ toJson . }}
  {{- end }}
  {{- with .annotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
