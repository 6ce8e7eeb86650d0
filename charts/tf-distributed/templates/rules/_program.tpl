{{/* Rules of a custom program. */}}

{{/*
Rules of command and of scripts.
Argument: dict root, replicas. Output: JSON list of messages
*/}}
{{- define "tf-distributed.programProblems" -}}
{{- $problems := list -}}
{{- $values := .root.Values -}}

{{- /* Parameter servers wait indefinitely. The DONE of the leader ends them, in a folder that all tasks mount. */ -}}
{{- if and (eq $values.strategy "ParameterServer") (include "tf-distributed.isOwnProgram" .) (not (include "tf-distributed.isGuarded" .)) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "command" "got" (include "tf-distributed.shown" $values.command)
  "expected" "storage.claim or storage.create with ParameterServer, because DONE in that storage ends the parameter servers"
  "fix" "Set storage.claim, or start the program under the trainer with args: [--, SCRIPT].")) -}}
{{- end -}}

{{- /* The guard starts the program, and the entry point stands only in the image. */ -}}
{{- if and (eq $values.strategy "ParameterServer") (hasKey $values "command") (not $values.command) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "command" "got" "[]" "expected" "a program with ParameterServer, because its end must end the parameter servers"
  "fix" "Set command to the entry point of the image, which `docker image inspect` shows.")) -}}
{{- end -}}

{{- /* The evaluator of the trainer would evaluate the default task, with checkpoints of the script. */ -}}
{{- if and .replicas.evaluator (include "tf-distributed.isScript" .) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "evaluator.replicas" "got" .replicas.evaluator "expected" "0 for a script under the trainer, which evaluates itself"
  "fix" "Remove evaluator.replicas, and evaluate in the script.")) -}}
{{- end -}}

{{- /* Only the trainer restores the checkpoint of another run. */ -}}
{{- if and $values.warmStartFrom (or (include "tf-distributed.isScript" .) (include "tf-distributed.isOwnProgram" .)) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "warmStartFrom" "got" (include "tf-distributed.shown" $values.warmStartFrom)
  "expected" "no warm start of a program of your own, which restores its checkpoints itself"
  "fix" "Remove warmStartFrom, and name the checkpoint in args or env.")) -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}
