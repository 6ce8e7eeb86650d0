{{/* What a pod mounts, and where. */}}

{{/*
Folder of all runs of a storage. The run directory is this folder and the name of the run.
Argument: dict root. Output: a path or gs://BUCKET/FOLDER
*/}}
{{- define "tf-distributed.storageDir" -}}
{{- $storage := .root.Values.storage -}}
{{ $storage.uri | default $storage.at | default "/runs" }}
{{- end }}

{{/*
Folder of the data.
Argument: dict root. Output: a path or gs://BUCKET/FOLDER, nothing without data
*/}}
{{- define "tf-distributed.dataDir" -}}
{{- $data := .root.Values.data -}}
{{- if $data.uri -}}{{ $data.uri }}{{- else if $data.claim -}}{{ $data.at | default "/data" }}{{- end -}}
{{- end }}

{{/*
The folders that the job file mounts into a pod. TensorBoard has the storage alone, read-only.
Argument: dict root, role. Output: JSON list of {name, at, source, folder, readOnly}
*/}}
{{- define "tf-distributed.folders" -}}
{{- $values := .root.Values -}}
{{- $storage := $values.storage -}}
{{- $isTask := ne .role "tensorboard" -}}
{{- $folders := list -}}
{{- if not $storage.uri -}}
{{- $claim := $storage.claim | default (include "tf-distributed.name" (dict "root" .root "role" "storage")) -}}
{{- $source := dict "persistentVolumeClaim" (dict "claimName" $claim) -}}
{{- if $storage.ephemeral -}}{{- $source = dict "emptyDir" dict -}}{{- end -}}
{{- $at := include "tf-distributed.storageDir" . -}}
{{- $folders = append $folders (dict "name" "runs" "at" $at "source" $source "readOnly" (not $isTask)) -}}
{{- end -}}
{{- if $isTask -}}
{{- if $values.data.claim -}}
{{- $source := dict "persistentVolumeClaim" (dict "claimName" $values.data.claim) -}}
{{- $at := include "tf-distributed.dataDir" . -}}
{{- $folders = append $folders (dict "name" "data" "at" $at "source" $source "readOnly" true) -}}
{{- end -}}
{{- range $index, $mount := $values.mounts -}}
{{- $source := dict -}}
{{- if $mount.claim -}}
{{- /* In a volume that is read-only, the kubelet changes no group of a file and creates no missing folder. */ -}}
{{- $source = dict "persistentVolumeClaim" (dict "claimName" $mount.claim "readOnly" true) -}}
{{- else if $mount.secret -}}
{{- /* 288 is the mode 0440: fsGroup is the group of the files. */ -}}
{{- $source = dict "secret" (dict "secretName" $mount.secret "defaultMode" 288) -}}
{{- else if $mount.configMap -}}
{{- $source = dict "configMap" (dict "name" $mount.configMap "defaultMode" 288) -}}
{{- else -}}
{{- $source = dict "emptyDir" (dict "sizeLimit" $mount.scratch) -}}
{{- end -}}
{{- $folder := dict "name" (printf "mount-%d" $index) "at" $mount.at "source" $source "folder" $mount.folder -}}
{{- $folders = append $folders (set $folder "readOnly" (empty $mount.scratch)) -}}
{{- end -}}
{{- with include "tf-distributed.shm" (index $values .role) -}}
{{- $source := dict "emptyDir" (dict "medium" "Memory" "sizeLimit" .) -}}
{{- $folders = append $folders (dict "name" "shm" "at" "/dev/shm" "source" $source "readOnly" false) -}}
{{- end -}}
{{- end -}}
{{ toJson $folders }}
{{- end }}

{{/*
The volumes of those folders, each source once: a claim that is mounted twice is one volume. Scratch space is not shared.
Argument: dict root, role. Output: JSON {"volumes": [{name, source}], "mounts": [{volume, at, folder, readOnly}]}
*/}}
{{- define "tf-distributed.volumeMounts" -}}
{{- $names := dict -}}
{{- $volumes := list -}}
{{- $mounts := list -}}
{{- range $folder := include "tf-distributed.folders" . | fromJsonArray -}}
{{- $key := toJson $folder.source -}}
{{- if hasKey $folder.source "emptyDir" -}}{{- $key = $folder.name -}}{{- end -}}
{{- with $folder.source.persistentVolumeClaim -}}{{- $key = printf "claim %s" .claimName -}}{{- end -}}
{{- if not (hasKey $names $key) -}}
{{- $_ := set $names $key $folder.name -}}
{{- $volumes = append $volumes $folder -}}
{{- end -}}
{{- $mounts = append $mounts (set $folder "volume" (get $names $key)) -}}
{{- end -}}
{{ dict "volumes" $volumes "mounts" $mounts | toJson }}
{{- end }}

{{/*
Volumes of a pod: /tmp, the folders of the job file and, for tasks, the code.
Argument: dict root, role. Output: YAML list
*/}}
{{- define "tf-distributed.volumes" -}}
- name: tmp
  emptyDir: {}
{{- if ne .role "tensorboard" }}
{{- include "tf-distributed.codeVolume" . }}
{{- end }}
{{- range (include "tf-distributed.volumeMounts" . | fromJson).volumes }}
- name: {{ .name }}
  {{- toYaml .source | nindent 2 }}
{{- end }}
{{- end }}

{{/*
Mounts of the volumes.
Argument: dict root, role. Output: YAML list
*/}}
{{- define "tf-distributed.mounts" -}}
- name: tmp
  mountPath: /tmp
{{- if and (or .root.Values.code.git .root.Values.code.files) (ne .role "tensorboard") }}
- name: code
  mountPath: /code
  readOnly: true
{{- end }}
{{- range (include "tf-distributed.volumeMounts" . | fromJson).mounts }}
- name: {{ .volume }}
  mountPath: {{ .at }}
  {{- with .folder }}
  subPath: {{ . | quote }}
  {{- end }}
  {{- if .readOnly }}
  readOnly: true
  {{- end }}
{{- end }}
{{- end }}
