{{/* The pod template that all four roles share, and the parts that the TensorBoard pod shares with it. */}}

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
    {{- with include "tf-distributed.queueLabels" . }}
    {{- . | nindent 4 }}
    {{- end }}
  {{- with include "tf-distributed.queueAnnotations" . }}
  annotations:
    {{- . | nindent 4 }}
  {{- end }}
spec:
  subdomain: {{ .root.Release.Name | quote }}
  restartPolicy: Never
  terminationGracePeriodSeconds: {{ include "tf-distributed.seconds" $values.failure.gracePeriod }}
  {{- with $values.scheduling.priorityClassName }}
  priorityClassName: {{ . | quote }}
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
The container of a task, which runs the trainer or your command.
Argument: dict root, role. Output: YAML map
*/}}
{{- define "tf-distributed.container" -}}
{{- $values := .root.Values -}}
{{- $block := index $values .role -}}
name: trainer
image: {{ $values.image | quote }}
imagePullPolicy: {{ $values.imagePullPolicy }}
command: {{ include "tf-distributed.command" . }}
{{- with $values.args }}
args: {{ toJson . }}
{{- end }}
env:
  {{- include "tf-distributed.env" . | nindent 2 }}
ports:
  - name: grpc
    containerPort: {{ $values.network.port | int }}
resources:
  {{- include "tf-distributed.resources" (dict "resources" $block.resources "gpus" $block.gpus "gpu" $values.gpu.resource) | nindent 2 }}
terminationMessagePolicy: FallbackToLogsOnError
{{- include "tf-distributed.containerSecurity" . | nindent 0 }}
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
- name: TF_CONFIG
  value: {{ include "tf-distributed.tfConfig" . | quote }}
- name: RUN_DIR
  value: {{ include "tf-distributed.storageDir" . }}/{{ .root.Release.Name }}
{{- with include "tf-distributed.dataDir" . }}
- name: DATA_DIR
  value: {{ . }}
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
{{- include "tf-distributed.codeEnv" . }}
- name: HOME
  value: /tmp
{{- with $values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/*
Resources of a container. A GPU is a limit and an equal request; all quantities are strings.
Argument: dict resources, gpus, gpu (its resource name). Output: YAML map
*/}}
{{- define "tf-distributed.resources" -}}
{{- $result := dict -}}
{{- range $kind := list "requests" "limits" -}}
{{- $quantities := dict -}}
{{- range $name, $quantity := index $.resources $kind -}}
{{- $_ := set $quantities $name (include "tf-distributed.quantityText" $quantity) -}}
{{- end -}}
{{- with $.gpus -}}{{- $_ := set $quantities $.gpu (int . | toString) -}}{{- end -}}
{{- with $quantities -}}{{- $_ := set $result $kind . -}}{{- end -}}
{{- end -}}
{{ toYaml $result }}
{{- end }}

{{/*
Settings of every pod, including TensorBoard: the user (restricted Pod Security), no token and no service variables.
Argument: dict root. Output: YAML map
*/}}
{{- define "tf-distributed.podCommon" -}}
{{- $user := int64 .root.Values.runAsUser -}}
{{- with .root.Values.serviceAccountName -}}
serviceAccountName: {{ . | quote }}
{{ end -}}
{{- with .root.Values.imagePullSecrets -}}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{ end -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ $user }}
  runAsGroup: {{ $user }}
  fsGroup: {{ $user }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{/*
Settings of every container: no privilege escalation, no capabilities, and a read-only root file system.
Argument: none. Output: YAML map
*/}}
{{- define "tf-distributed.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}
