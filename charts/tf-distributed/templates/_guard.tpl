{{/* What starts in a task, and the guard in front of a custom program: the program then runs once, and its run ends. */}}

{{/*
Whether `command` is a program of your own. The trainer by another name needs no guard: it writes DONE itself.
Argument: dict root. Output: true, or nothing
*/}}
{{- define "tf-distributed.isOwnProgram" -}}
{{- $words := .root.Values.command | default list -}}
{{- $isTrainer := and (ge (len $words) 3) (eq (rest $words | first) "-m") (eq (rest $words | rest | first) "trainer") -}}
{{- if and $words (not $isTrainer) -}}
true
{{- end -}}
{{- end }}

{{/*
Whether the trainer starts a script of your own.
Argument: dict root. Output: true, or nothing
*/}}
{{- define "tf-distributed.isScript" -}}
{{- $words := concat (.root.Values.command | default list) (.root.Values.args | default list) -}}
{{- $isEntryPoint := and (hasKey .root.Values "command") (not .root.Values.command) -}}
{{- if and (has "--" $words) (not $isEntryPoint) (not (include "tf-distributed.isOwnProgram" .)) -}}
true
{{- end -}}
{{- end }}

{{/*
Whether something else than a Task class may train: a script, a program of your own, or any entry point of an image.
Argument: dict root. Output: true, or nothing
*/}}
{{- define "tf-distributed.mayBeCustom" -}}
{{- $isEntryPoint := and (hasKey .root.Values "command") (not .root.Values.command) -}}
{{- if or $isEntryPoint (include "tf-distributed.isScript" .) (include "tf-distributed.isOwnProgram" .) -}}
true
{{- end -}}
{{- end }}

{{/*
Whether the guard starts the program: it reads and writes DONE in a folder that all tasks mount.
Argument: dict root. Output: true, or nothing
*/}}
{{- define "tf-distributed.isGuarded" -}}
{{- $storage := .root.Values.storage -}}
{{- if or $storage.claim $storage.create -}}
{{- include "tf-distributed.isOwnProgram" . -}}
{{- end -}}
{{- end }}

{{/*
The modes of guard.sh for a role: that of task 0, and that of the others if they differ.
Argument: dict root, role. Output: MODE or MODE:OTHERS
*/}}
{{- define "tf-distributed.guardMode" -}}
{{- if eq .role "chief" -}}
lead
{{- else if ne .role "worker" -}}
follow
{{- else if eq .root.Values.strategy "MultiWorkerMirrored" -}}
lead:peer
{{- else if include "tf-distributed.replicas" (dict "root" .root "role" "chief") | int -}}
follow
{{- else -}}
lead:follow
{{- end -}}
{{- end }}

{{/*
Command of a task, empty for the entry point of the image. Its arguments follow unchanged, so the kubelet expands both as it does without the guard.
Argument: dict root, role. Output: JSON list
*/}}
{{- define "tf-distributed.command" -}}
{{- $command := hasKey .root.Values "command" | ternary .root.Values.command (list "python" "-m" "trainer") -}}
{{- if include "tf-distributed.isGuarded" . -}}
{{- $command = concat (list "sh" "/etc/tf-distributed/guard.sh" (include "tf-distributed.guardMode" .)) $command -}}
{{- end -}}
{{ toJson $command }}
{{- end }}

{{/*
Files of the guard, next to the run record.
Argument: dict root. Output: YAML map of a ConfigMap's data, nothing without the guard
*/}}
{{- define "tf-distributed.guardFiles" -}}
{{- if include "tf-distributed.isGuarded" . -}}
done.json: {{ printf "{\"run\": %s, \"hash\": %s}" (toJson .root.Release.Name) (include "tf-distributed.hash" . | toJson) | squote }}
guard.sh: |
  {{- .root.Files.Get "files/guard.sh" | trim | nindent 2 }}
{{- end -}}
{{- end }}
