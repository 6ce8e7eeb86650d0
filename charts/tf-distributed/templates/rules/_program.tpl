{{/* Rules of a custom program. */}}

{{/*
Rules of command.
Argument: dict root. Output: JSON list of messages
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
{{ $problems | default list | toRawJson }}
{{- end }}
