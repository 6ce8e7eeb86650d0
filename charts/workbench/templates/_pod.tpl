{{/* The pod of a workbench. */}}

{{/*
Folder of the runs of the team.
Argument: dict root. Output: a path or gs://BUCKET/FOLDER, nothing without storage
*/}}
{{- define "tf-distributed.runs" -}}
{{- with .root.Values.storage -}}
{{ .uri | default "/runs" }}
{{- end -}}
{{- end }}

{{/*
Arguments of `tfd`, which starts the programs of the workbench.
Argument: dict root. Output: JSON list
*/}}
{{- define "tf-distributed.args" -}}
{{- $values := .root.Values -}}
{{- $args := list "workbench" "--host" "*" "--dir" "/home/workbench" -}}
{{- with include "tf-distributed.runs" . -}}{{- $args = concat $args (list "--runs" .) -}}{{- end -}}
{{- if $values.editor -}}
{{- $args = concat $args (list "--idle-after" $values.idleAfter) -}}
{{- else -}}
{{- $args = append $args "--no-editor" -}}
{{- end -}}
{{- if not $values.tensorboard -}}{{- $args = append $args "--no-tensorboard" -}}{{- end -}}
{{ toJson $args }}
{{- end }}

{{/*
Pod template of the Job.
Argument: dict root. Output: YAML map (metadata, spec)
*/}}
{{- define "tf-distributed.pod" -}}
{{- $values := .root.Values -}}
metadata:
  labels:
    {{- include "tf-distributed.podLabels" . | nindent 4 }}
    {{- include "tf-distributed.withoutSidecar" . | nindent 4 }}
spec:
  restartPolicy: Never
  # The programs of the workbench have 10 seconds to end.
  terminationGracePeriodSeconds: 30
  {{- with $values.scheduling.priorityClassName }}
  priorityClassName: {{ . | quote }}
  {{- end }}
  {{- with $values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations: {{ toJson . }}
  {{- end }}
  {{- include "tf-distributed.podCommon" . | nindent 2 }}
  containers:
    - {{ include "tf-distributed.container" . | nindent 6 | trim }}
  volumes:
    {{- include "tf-distributed.volumes" . | nindent 4 }}
{{- end }}

{{/*
The container, which runs JupyterLab and TensorBoard below `tfd workbench`.
Argument: dict root. Output: YAML map
*/}}
{{- define "tf-distributed.container" -}}
{{- $values := .root.Values -}}
name: workbench
image: {{ $values.image | quote }}
imagePullPolicy: {{ $values.imagePullPolicy }}
command: [tfd]
args: {{ include "tf-distributed.args" . }}
env:
  - name: HOME
    value: /home/workbench
  - name: USER
    value: workbench
  - name: JUPYTER_TOKEN_FILE
    value: /etc/workbench/token
  - name: TFD_TERMINATION_LOG
    value: /dev/termination-log
  {{- if include "tf-distributed.hasNoDevice" $values }}
  - name: NVIDIA_VISIBLE_DEVICES
    value: void
  {{- end }}
ports:
  {{- if $values.editor }}
  - name: editor
    containerPort: 8888
  {{- end }}
  {{- if $values.tensorboard }}
  - name: tensorboard
    containerPort: 6006
  {{- end }}
{{- include "tf-distributed.probes" . }}
resources:
  {{- $resources := include "tf-distributed.blockResources" $values | fromJson }}
  {{- include "tf-distributed.resources" (dict "resources" $resources "gpus" $values.gpus "gpu" $values.gpu.resource) | nindent 2 }}
terminationMessagePolicy: FallbackToLogsOnError
{{- include "tf-distributed.containerSecurity" dict | nindent 0 }}
volumeMounts:
  {{- include "tf-distributed.mounts" . | nindent 2 }}
{{- end }}

{{/*
The pod is ready when all its programs answer. TensorBoard has no address that answers without the token.
Argument: dict root. Output: YAML map
*/}}
{{- define "tf-distributed.probes" -}}
{{- if .root.Values.editor }}
startupProbe:
  httpGet: {path: /api, port: editor}
  periodSeconds: 5
  failureThreshold: 120
{{- end }}
readinessProbe:
  tcpSocket: {port: {{ .root.Values.tensorboard | ternary "tensorboard" "editor" }}}
{{- end }}
