{{/* Rules between the strategy, the roles and their GPUs. */}}

{{/*
Rules of the number of tasks of each role.
Argument: dict root, replicas. Output: JSON list of messages
*/}}
{{- define "tf-distributed.roleProblems" -}}
{{- $problems := list -}}
{{- $strategy := .root.Values.strategy -}}
{{- $replicas := .replicas -}}

{{- /* MultiWorkerMirrored trains in its workers alone. */ -}}
{{- if and $replicas.chief (eq $strategy "MultiWorkerMirrored") -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "chief.replicas" "got" $replicas.chief "expected" (printf "0 for %s, where worker 0 leads" $strategy)
  "fix" "Remove chief.replicas.")) -}}
{{- end -}}

{{- /* Only a custom program can train without a chief, whose part its worker 0 then takes. */ -}}
{{- if and (not $replicas.chief) (has $strategy (list "OneDevice" "Mirrored" "ParameterServer")) -}}
{{- if not (and (eq $strategy "ParameterServer") (include "tf-distributed.isOwnProgram" .)) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "chief.replicas" "got" 0 "expected" "1, because only a command of your own with ParameterServer trains without a chief"
  "fix" "Remove chief.replicas.")) -}}
{{- end -}}
{{- end -}}

{{- /* Only ParameterServer has parameter servers. */ -}}
{{- if and $replicas.ps (ne $strategy "ParameterServer") -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "ps.replicas" "got" $replicas.ps "expected" (printf "0 for %s" $strategy)
  "fix" "Remove ps.replicas or set strategy: ParameterServer.")) -}}
{{- end -}}

{{- /* ParameterServer keeps its variables on parameter servers. */ -}}
{{- if and (eq $strategy "ParameterServer") (not $replicas.ps) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "ps.replicas" "got" 0 "expected" "1 or more for ParameterServer" "fix" "Set ps.replicas.")) -}}
{{- end -}}

{{- /* OneDevice and Mirrored train in the chief alone. */ -}}
{{- if and $replicas.worker (has $strategy (list "OneDevice" "Mirrored")) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "worker.replicas" "got" $replicas.worker "expected" (printf "0 for %s" $strategy)
  "fix" "Remove worker.replicas or set strategy: MultiWorkerMirrored.")) -}}
{{- end -}}

{{- /* The other two train in their workers. */ -}}
{{- if and (not $replicas.worker) (has $strategy (list "MultiWorkerMirrored" "ParameterServer")) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "worker.replicas" "got" 0 "expected" (printf "1 or more for %s" $strategy) "fix" "Set worker.replicas.")) -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}

{{/*
Rules of the number of GPUs of each role.
Argument: dict root, replicas. Output: JSON list of messages
*/}}
{{- define "tf-distributed.gpuProblems" -}}
{{- $problems := list -}}
{{- $values := .root.Values -}}
{{- $replicas := .replicas -}}

{{- /* Parameter servers hold variables in memory: a GPU would idle. */ -}}
{{- if $values.ps.gpus -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "ps.gpus" "got" $values.ps.gpus "expected" "0 for parameter servers" "fix" "Remove ps.gpus and set worker.gpus.")) -}}
{{- end -}}

{{- /* GPUs of a role without tasks are a mistake about which role computes. */ -}}
{{- range $role := list "chief" "worker" "evaluator" -}}
{{- $gpus := (index $values $role).gpus | int -}}
{{- if and $gpus (not (get $replicas $role)) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" (printf "%s.gpus" $role) "got" $gpus "expected" "0 for a role without tasks"
  "fix" (printf "Remove %s.gpus or set gpus of a role that has tasks." $role))) -}}
{{- end -}}
{{- end -}}

{{- /* OneDevice leaves every GPU but the first idle. */ -}}
{{- if and (eq $values.strategy "OneDevice") (gt (int $values.chief.gpus) 1) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "chief.gpus" "got" $values.chief.gpus "expected" "at most 1 for OneDevice"
  "fix" "Set chief.gpus: 1 or strategy: Mirrored.")) -}}
{{- end -}}

{{- /* A good limit depends on the model and on the node, and the task above it is killed. */ -}}
{{- range $role := list "chief" "worker" "evaluator" -}}
{{- $resources := (index $values $role).resources -}}
{{- $named := or (hasKey ($resources.requests | default dict) "memory") (hasKey ($resources.limits | default dict) "memory") -}}
{{- if and (index $values $role).gpus (get $replicas $role) (not $named) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" (printf "%s.resources.limits.memory" $role) "got" "nothing" "expected" "the memory of a task with GPUs"
  "fix" (printf "Set %s.resources.limits.memory, for example 32Gi, or null for no limit." $role))) -}}
{{- end -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}

{{/*
Rules of the batch. Every replica of a synchronous strategy takes an equal share, unless workers come and go. A custom
script has its own batch size.
Argument: dict root, replicas. Output: JSON list of messages
*/}}
{{- define "tf-distributed.batchProblems" -}}
{{- $problems := list -}}
{{- $values := .root.Values -}}
{{- $custom := or (hasKey $values "command") (eq (first ($values.args | default (list ""))) "--") -}}
{{- $replicas := 1 -}}
{{- if and (eq $values.strategy "MultiWorkerMirrored") (not (include "tf-distributed.anyWorkerLeads" .)) -}}
{{- $replicas = mul (max 1 .replicas.worker) (max 1 (int $values.worker.gpus)) -}}
{{- else if eq $values.strategy "Mirrored" -}}
{{- $replicas = max 1 (int $values.chief.gpus) -}}
{{- end -}}
{{- $batch := int64 $values.trainer.batchSize -}}
{{- $rest := mod $batch $replicas -}}

{{- /* Equal shares need a multiple of the number of replicas. */ -}}
{{- if and $rest (not $custom) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "trainer.batchSize" "got" $batch "expected" (printf "a multiple of %d for %d replicas" $replicas $replicas)
  "fix" (printf "Set trainer.batchSize: %d." (add $batch (sub $replicas $rest))))) -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}
