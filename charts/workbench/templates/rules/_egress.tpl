{{/* Rules of network.egress. The chart of the workbench has a copy of this file. */}}

{{/*
The numbers of an address: 4 of 8 bits, or 8 of 16 bits. Two colons stand for at least one 0.
Argument: an address. Output: JSON list, empty for an IPv6 address with too many or too few numbers
*/}}
{{- define "tf-distributed.addressNumbers" -}}
{{- $numbers := list -}}
{{- $words := splitList ":" . -}}
{{- $missing := sub 8 (len (without $words "")) | int -}}
{{- if not (contains ":" .) -}}
{{- range $word := splitList "." . -}}{{- $numbers = append $numbers (int64 $word) -}}{{- end -}}
{{- else if eq (contains "::" .) (gt $missing 0) -}}
{{- range $word := $words -}}
{{- if $word -}}
{{- $numbers = append $numbers (printf "0x%s" $word | int64) -}}
{{- else -}}
{{- range until $missing -}}{{- $numbers = append $numbers 0 -}}{{- end -}}
{{- $missing = 0 -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{ toJson $numbers }}
{{- end }}

{{/*
A range with 0 for each bit after its prefix.
Argument: dict numbers, prefix. Output: ADDRESS/PREFIX, where an IPv6 address has all its numbers
*/}}
{{- define "tf-distributed.rangeStart" -}}
{{- $bits := len .numbers | eq 4 | ternary 8 16 -}}
{{- $words := list -}}
{{- range $index, $number := .numbers -}}
{{- $size := 1 -}}
{{- range until (sub (mul (add1 $index) $bits) $.prefix | max 0 | min $bits | int) -}}{{- $size = mul 2 $size -}}{{- end -}}
{{- $start := sub (int64 $number) (mod (int64 $number) $size) -}}
{{- $words = append $words (eq $bits 8 | ternary (printf "%d" $start) (printf "%x" $start)) -}}
{{- end -}}
{{ join (eq $bits 8 | ternary "." ":") $words }}/{{ .prefix }}
{{- end }}

{{/*
Rules of network.egress: a metadata server hands out the credentials of the node.
Argument: dict root. Output: JSON list of messages
*/}}
{{- define "tf-distributed.networkProblems" -}}
{{- $problems := list -}}
{{- range $index, $rule := .root.Values.network.egress -}}

{{- /* A prefix of 8 or more fixes the first number, and a prefix of 16 or more fixes two. In IPv6, 32 bits are two groups. */ -}}
{{- $contains := regexMatch "^(169[.]254|168[.]63|100[.]100)[.]|^(169|168|100)[.].*/([89]|1[0-5])$" $rule.to -}}
{{- $contains6 := regexMatch "^(fe[89ab][0-9a-f]:|fd00:0?ec2:|fd20:0{0,2}ce:)" $rule.to -}}
{{- if or $contains $contains6 -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" (printf "network.egress[%d].to" $index) "got" (include "tf-distributed.shown" $rule.to)
  "expected" "a range without link-local addresses and metadata servers"
  "fix" "Set a smaller range.")) -}}
{{- end -}}

{{- if ne $rule.to "anywhere" -}}
{{- $address := splitList "/" $rule.to | first -}}
{{- $prefix := splitList "/" $rule.to | last -}}
{{- $numbers := include "tf-distributed.addressNumbers" $address | fromJsonArray -}}
{{- $about := dict "key" (printf "network.egress[%d].to" $index) "got" (include "tf-distributed.shown" $rule.to) -}}

{{- /* Kubernetes refuses any other address. */ -}}
{{- if not $numbers -}}
{{- $problems = append $problems (include "tf-distributed.problem" (merge (dict
  "expected" "an IPv6 address of 8 numbers, or of fewer with ::"
  "fix" "Set a range such as 2001:db8::/32.") $about)) -}}

{{- /* Kubernetes refuses such a range from 1.36 on, because it may mean one address. */ -}}
{{- else -}}
{{- $start := include "tf-distributed.rangeStart" (dict "numbers" $numbers "prefix" (int $prefix)) -}}
{{- $same := include "tf-distributed.rangeStart" (dict "numbers" $numbers "prefix" 128) -}}
{{- if ne (trimSuffix (printf "/%s" $prefix) $start) (trimSuffix "/128" $same) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (merge (dict
  "expected" "a range without bits after its prefix"
  "fix" (printf "Set %s, or %s/%s for one address." $start $address (contains ":" $address | ternary "128" "32"))) $about)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}
