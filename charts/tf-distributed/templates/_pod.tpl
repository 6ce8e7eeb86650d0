{{/* The pod template that all four roles share. */}}

{{/*
Pod template of a task.
Argument: dict root, role. Output: YAML map (metadata, spec)
*/}}
{{- define "tf-distributed.pod" -}}
{{- $values := .root.Values -}}
{{- $block := index $values .role -}}
metadata:
  labels:
    {{- include "tf-distributed.podLabels" . | nindent 4 }}
    {{ include "tf-distributed.prefix" . }}/pod: task
    {{- include "tf-distributed.withoutSidecar" . | nindent 4 }}
    {{- with include "tf-distributed.queueLabels" . }}
    {{- . | nindent 4 }}
    {{- end }}
  {{- with merge (include "tf-distributed.queueAnnotations" . | fromYaml) $values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  subdomain: {{ .root.Release.Name | quote }}
  restartPolicy: Never
  terminationGracePeriodSeconds: {{ include "tf-distributed.seconds" $values.failure.gracePeriod }}
  {{- with $values.scheduling.priorityClassName }}
  priorityClassName: {{ . | quote }}
  {{- end }}
  {{- with $values.scheduling.schedulerName }}
  schedulerName: {{ . | quote }}
  {{- end }}
  {{- if and $values.scheduling.gang (ne .role "evaluator") }}
  schedulingGroup:
    podGroupName: {{ .root.Release.Name | quote }}
  {{- end }}
  {{- with $block.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $block.tolerations }}
  tolerations: {{ toJson . }}
  {{- end }}
  {{- with include "tf-distributed.place" . | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- include "tf-distributed.podCommon" . | nindent 2 }}
  {{- if $values.code.git }}
  initContainers:
    - {{ include "tf-distributed.fetchCode" . | nindent 6 | trim }}
  {{- end }}
  containers:
    - {{ include "tf-distributed.container" . | nindent 6 | trim }}
  volumes:
    - name: record
      configMap:
        name: {{ .root.Release.Name | quote }}
        items: [{key: run.json, path: run.json}{{ with include "tf-distributed.isGuarded" . }}, {key: done.json, path: done.json}, {key: guard.sh, path: guard.sh}{{ end }}]
    {{- include "tf-distributed.volumes" . | nindent 4 }}
{{- end }}

{{/*
The container of a task, which runs the trainer, your command, or the entry point of the image for an empty command.
Argument: dict root, role. Output: YAML map
*/}}
{{- define "tf-distributed.container" -}}
{{- $values := .root.Values -}}
{{- $block := index $values .role -}}
name: trainer
image: {{ $block.image | default $values.image | quote }}
imagePullPolicy: {{ $values.imagePullPolicy }}
{{- with include "tf-distributed.command" . | fromJsonArray }}
command: {{ toJson . }}
{{- end }}
{{- with $values.args }}
args: {{ toJson . }}
{{- end }}
{{- with $values.workingDir }}
workingDir: {{ . | quote }}
{{- end }}
env:
  {{- include "tf-distributed.env" . | nindent 2 }}
ports:
  - name: grpc
    containerPort: {{ $values.network.port | int }}
  {{- if include "tf-distributed.servesMetrics" . }}
  - name: metrics
    containerPort: {{ $values.metrics.port | int }}
  {{- end }}
resources:
  {{- $resources := include "tf-distributed.blockResources" $block | fromJson }}
  {{- include "tf-distributed.resources" (dict "resources" $resources "gpus" $block.gpus "gpu" $values.gpu.resource) | nindent 2 }}
terminationMessagePolicy: FallbackToLogsOnError
{{- include "tf-distributed.containerSecurity" (dict "writableRoot" (not $values.readOnlyRoot)) | nindent 0 }}
volumeMounts:
  - name: record
    mountPath: /etc/tf-distributed
    readOnly: true
  {{- include "tf-distributed.mounts" . | nindent 2 }}
{{- end }}

{{/*
Environment of a task. The kubelet expands only earlier variables, so TF_CONFIG follows TF_CLUSTER and TASK_INDEX.
Argument: dict root, role. Output: YAML list
*/}}
{{- define "tf-distributed.env" -}}
{{- $values := .root.Values -}}
- name: TF_CLUSTER
  valueFrom:
    configMapKeyRef:
      name: {{ .root.Release.Name | quote }}
      key: cluster
- name: TASK_INDEX
  valueFrom:
    fieldRef:
      fieldPath: metadata.labels['batch.kubernetes.io/job-completion-index']
- name: TASK_TYPE
  value: {{ .role }}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_IP
  valueFrom: {fieldRef: {fieldPath: status.podIP}}
- name: TF_CONFIG
  value: {{ include "tf-distributed.tfConfig" . | quote }}
- name: RUN_DIR
  value: {{ printf "%s/%s" (include "tf-distributed.storageDir" .) .root.Release.Name | quote }}
{{- with include "tf-distributed.dataDir" . }}
- name: DATA_DIR
  value: {{ . | quote }}
{{- end }}
- name: TRAINER_RECORD
  value: /etc/tf-distributed/run.json
- name: TRAINER_START_TIMEOUT
  value: {{ include "tf-distributed.seconds" $values.failure.startTimeout | quote }}
- name: TRAINER_ORPHAN_TIMEOUT
  value: {{ include "tf-distributed.seconds" $values.failure.orphanTimeout | quote }}
- name: TRAINER_GRACE_PERIOD
  value: {{ include "tf-distributed.seconds" $values.failure.gracePeriod | quote }}
- name: TRAINER_MAX_IN_PLACE_RESTARTS
  value: {{ $values.failure.maxInPlaceRestarts | int | quote }}
- name: TRAINER_TERMINATION_LOG
  value: /dev/termination-log
- name: TRAINER_LOG_FORMAT
  value: {{ $values.logFormat }}
- name: TRAINER_GPUS
  value: {{ (index $values .role).gpus | int | quote }}
{{- include "tf-distributed.elasticEnv" . }}
{{- include "tf-distributed.metricsEnv" . }}
{{- include "tf-distributed.codeEnv" . }}
- name: HOME
  value: /tmp
- name: USER
  value: trainer
{{- if include "tf-distributed.hasNoDevice" (index $values .role) }}
- name: NVIDIA_VISIBLE_DEVICES
  value: void
{{- end }}
{{- with $values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}
