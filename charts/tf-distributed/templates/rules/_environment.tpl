{{/* Rules of the environment of a task. */}}

{{/*
Rules of env, of workingDir and of the size of TF_CONFIG.
Argument: dict root, replicas. Output: JSON list of messages
*/}}
{{- define "tf-distributed.environmentProblems" -}}
{{- $problems := list -}}
{{- $values := .root.Values -}}
{{- $reserved := include "tf-distributed.reservedVariables" . | fromJsonArray -}}
{{- $seen := dict -}}
{{- range $index, $variable := $values.env -}}
{{- $about := dict "key" (printf "env[%d].name" $index) "got" (include "tf-distributed.shown" $variable.name) -}}

{{- /* A job file cannot override what the chart passes to the trainer. */ -}}
{{- if has $variable.name $reserved -}}
{{- $problems = append $problems (include "tf-distributed.problem" (merge (dict
  "expected" "a name that the chart does not set itself" "fix" "Choose another name.") $about)) -}}
{{- end -}}

{{- /* The last of two equal names would win silently. */ -}}
{{- if hasKey $seen $variable.name -}}
{{- $problems = append $problems (include "tf-distributed.problem" (merge (dict
  "expected" "each name once" "fix" "Remove one of the two.") $about)) -}}
{{- end -}}
{{- $_ := set $seen $variable.name true -}}
{{- end -}}

{{- /* The container runtime creates a missing folder for root only, so that the program could not write there. */ -}}
{{- $folder := $values.workingDir | default "" -}}
{{- $isNew := hasPrefix (printf "%s/%s/" (include "tf-distributed.storageDir" .) .root.Release.Name) (printf "%s/" $folder) -}}
{{- range $mount := prepend $values.mounts (dict "at" "/tmp" "scratch" "the node") -}}
{{- if and $mount.scratch (hasPrefix (printf "%s/" $mount.at) $folder) -}}{{- $isNew = true -}}{{- end -}}
{{- end -}}
{{- if $isNew -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "workingDir" "got" (include "tf-distributed.shown" $folder) "expected" "a folder that exists before the run"
  "fix" "Set a folder of the image, or start the program with sh -c 'cd FOLDER && exec PROGRAM'.")) -}}
{{- end -}}

{{- /* Linux allows 128 KiB for one environment string. */ -}}
{{- $bytes := include "tf-distributed.tfConfigBytes" . | int -}}
{{- if gt $bytes 131072 -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "worker.replicas" "got" (printf "%d (with ps.replicas %d)" .replicas.worker .replicas.ps)
  "expected" (printf "a TF_CONFIG of at most 131072 bytes instead of %d" $bytes)
  "fix" "Set fewer tasks or a shorter run name.")) -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}

{{/*
Rule of the variables in texts. The kubelet replaces each $(NAME) in its own memory, without a limit.
Argument: dict root. Output: JSON list of messages
*/}}
{{- define "tf-distributed.expansionProblems" -}}
{{- $problems := list -}}
{{- $values := .root.Values -}}

{{- /* A few variables that double each other take the memory of the node. */ -}}
{{- $bytes := include "tf-distributed.tfConfigBytes" . | int -}}
{{- $sizes := dict "TF_CLUSTER" $bytes "TF_CONFIG" $bytes -}}
{{- $texts := list -}}
{{- range $index, $variable := $values.env -}}
{{- $texts = append $texts (dict
  "key" (printf "env[%d].value" $index) "name" $variable.name
  "text" ($variable.value | default "") "from" $variable.valueFrom) -}}
{{- end -}}
{{- range $key := list "command" "args" -}}
{{- range $index, $word := index $values $key -}}
{{- $texts = append $texts (dict "key" (printf "%s[%d]" $key $index) "text" $word) -}}
{{- end -}}
{{- end -}}
{{- range $each := $texts -}}
{{- $text := replace "$$" "" $each.text -}}
{{- $size := len $each.text -}}
{{- range $name, $most := $sizes -}}
{{- $size = add $size (mul $most (sub (len (splitList (printf "$(%s)" $name) $text)) 1)) -}}
{{- end -}}
{{- if gt (int $size) 131072 -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" $each.key "got" "a text with more than 131072 bytes in place of its $(NAME)"
  "expected" "at most the 131072 bytes that Linux allows"
  "fix" "Use fewer $(NAME), or write $$(NAME) for a literal one.")) -}}
{{- $size = 0 -}}
{{- end -}}
{{- /* What a Secret or a ConfigMap holds is unknown. */ -}}
{{- with $each.name -}}{{- $_ := set $sizes . (ternary 4096 (int $size) (not (empty $each.from))) -}}{{- end -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}

{{/*
Environment variables that the chart sets itself.
Argument: dict root. Output: JSON list
*/}}
{{- define "tf-distributed.reservedVariables" -}}
{{- $names := list "TF_CLUSTER" "TASK_INDEX" "TASK_TYPE" "POD_NAME" "POD_IP" "TF_CONFIG" "RUN_DIR" "DATA_DIR" "HOME" "USER" "JOB_COMPLETION_INDEX"
  "NVIDIA_VISIBLE_DEVICES"
  "TRAINER_RECORD" "TRAINER_START_TIMEOUT" "TRAINER_ORPHAN_TIMEOUT" "TRAINER_GRACE_PERIOD"
  "TRAINER_MAX_IN_PLACE_RESTARTS" "TRAINER_TERMINATION_LOG" "TRAINER_LOG_FORMAT" "TRAINER_GPUS"
  "TRAINER_MIN_WORKERS" "TRAINER_RESCALE_AFTER" "TRAINER_METRICS_PORT" "TRAINER_RUN_GPUS" -}}
{{- if or .root.Values.code.git .root.Values.code.files -}}
{{- $names = concat $names (list "CODE_DIR" "PYTHONPATH") -}}
{{- end -}}
{{ toJson $names }}
{{- end }}
