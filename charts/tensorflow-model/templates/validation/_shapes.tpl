{{/*
What Kubernetes would not take of the values that are handed on to it (files/shapes.yaml), one sentence a line. What is off
is not looked at. Takes the root context.
*/}}
{{- define "tensorflow-model.validation.shapes" -}}
{{- $root := . }}
{{- $file := .Files.Get "files/shapes.yaml" | fromYaml }}
{{- range $path, $shape := $file.values }}
{{- range $component := ternary (list "training" "server" "api" "tensorboard") (list "") (hasPrefix "*." $path) }}
{{- $key := ternary $path (printf "%s.%s" $component (trimPrefix "*." $path)) (eq $component "") }}
{{- $value := dict "values" $root.Values }}
{{- range splitList "." (printf "values.%s" $key) }}
{{- $isOff := and (kindIs "map" $value) (hasKey $value "enabled") (not (get $value "enabled")) }}
{{- $value = ternary (get (ternary $value dict (kindIs "map" $value)) .) dict (not $isOff) }}
{{- end }}
{{- if $value }}
{{- include "tensorflow-model.validation.shape" (dict "key" $key "value" $value "shape" $shape "file" $file) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/*
What is wrong with one value, one sentence a line. Takes dict "key", "value", "shape" (or the name of one) and "file", the
content of files/shapes.yaml.
*/}}
{{- define "tensorflow-model.validation.shape" -}}
{{- $key := .key }}
{{- $value := .value }}
{{- $file := .file }}
{{- $shape := .shape }}
{{- if kindIs "string" $shape }}
{{- $shape = get $file.shapes $shape }}
{{- end }}
{{- $isText := typeIs "string" $value }}
{{- if and $shape.orText $isText }}
{{- $shape = dict "text" $shape.orText }}
{{- end }}
{{- if $shape.text }}
{{- include "tensorflow-model.validation.text" (dict "key" $key "value" $value "form" (get $file.texts $shape.text)) }}
{{- else if $shape.words }}
{{- if not (has $value (append $shape.words "")) }}
{{ $key }} is {{ toJson $value }}, which Kubernetes does not know there: write {{ join ", " (initial $shape.words) }} or {{ last $shape.words }}
{{- end }}
{{- else if $shape.whole }}
{{- $from := index $shape.whole 0 | int64 }}
{{- $to := index $shape.whole 1 | int64 }}
{{- if not (and (has (kindOf $value) (list "int" "int64" "float64")) (eq (float64 $value) (floor $value)) (ge (int64 $value) $from) (le (int64 $value) $to)) }}
{{ $key }} is {{ toJson $value }} but Kubernetes takes a whole number from {{ $from }} to {{ $to }} there: {{ ternary "leave the quotes out" "correct it" (and $isText (regexMatch "^[0-9]+$" (toString $value))) }}
{{- end }}
{{- else if $shape.port }}
{{- if not (ternary (regexMatch "^[-a-z0-9]*[a-z][-a-z0-9]*$" (toString $value)) (and (ge (int64 $value) 1) (le (int64 $value) 65535)) $isText) }}
{{ $key }} is {{ toJson $value }} but it is a port: write a number from 1 to 65535 without quotes, or the name of a port
{{- end }}
{{- else if $shape.bool }}
{{- if not (kindIs "bool" $value) }}
{{ $key }} is {{ toJson $value }} but Kubernetes takes true or false there: write one of them, without quotes
{{- end }}
{{- else if hasKey $shape "items" }}
{{- include "tensorflow-model.validation.list" (dict "key" $key "value" $value "shape" $shape "file" $file) }}
{{- else if not (kindIs "map" $value) }}
{{ $key }} is {{ toJson $value | trunc 60 }} but Kubernetes takes a map there, of names and values: write it as one
{{- else }}
{{- include "tensorflow-model.validation.map" (dict "key" $key "value" $value "shape" $shape "file" $file) }}
{{- end }}
{{- end }}

{{/* A text that has not its form. Takes dict "key", "value" and "form", nothing for any. */}}
{{- define "tensorflow-model.validation.text" -}}
{{- if not (typeIs "string" .value) }}
{{ .key }} is {{ toJson .value | trunc 60 }} but Kubernetes takes text there: {{ ternary "write it as text" "put it in quotes" (has (kindOf .value) (list "map" "slice")) }}
{{- else if and .form (ne .value "") (not (and (le (len .value) 253) (regexMatch .form.pattern .value) (regexMatch (default "" .form.also) .value))) }}
{{ .key }} is {{ toJson .value }} but {{ .form.say }}
{{- end }}
{{- end }}

{{/* What is wrong with a list and its items. Takes what validation.shape takes. */}}
{{- define "tensorflow-model.validation.list" -}}
{{- $key := .key }}
{{- $shape := .shape }}
{{- $file := .file }}
{{- if not (kindIs "slice" .value) }}
{{ $key }} is {{ toJson .value | trunc 60 }} but Kubernetes takes a list there: write it as one
{{- else }}
{{- if gt (len .value) (int (default 100000 $shape.most)) }}
{{ $key }} has {{ len .value }} items but Kubernetes takes {{ int $shape.most }} at most: leave some out
{{- end }}
{{- if lt (len .value) (int (default 0 $shape.least)) }}
{{ $key }} is empty but Kubernetes takes {{ int $shape.least }} item or more there: add one, or leave the key out
{{- end }}
{{- $seen := list }}
{{- range $index, $item := .value }}
{{- $mayBeEmpty := or (not (kindIs "map" $shape.items)) (has (get (default dict $shape.items) "text" | default "any") (list "any" "label")) }}
{{- if or (kindIs "invalid" $item) (and (eq (toString $item) "") (not $mayBeEmpty)) }}
{{ $key }}[{{ $index }}] is {{ toJson $item }}, which is nothing: leave it out, or give what is meant
{{- else }}
{{- include "tensorflow-model.validation.shape" (dict "key" (printf "%s[%d]" $key $index) "value" $item "shape" $shape.items "file" $file) }}
{{- end }}
{{- if and $shape.distinct (kindIs "map" $item) }}
{{- $own := list }}
{{- range $shape.distinct }}
{{- $own = append $own (get $item . | toString) }}
{{- end }}
{{- if has $own $seen }}
{{ $key }}[{{ $index }}] has the same {{ join " and " $shape.distinct }} as an item before it ({{ join ", " $own }}): leave one of them out, or make them differ
{{- end }}
{{- $seen = append $seen $own }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* What is wrong with a map: with what is in it, else with how that goes together. Takes what validation.shape takes. */}}
{{- define "tensorflow-model.validation.map" -}}
{{- $found := include "tensorflow-model.validation.fields" . }}
{{- $found }}
{{- if and .shape.check (not (trim $found)) }}
{{- include (printf "tensorflow-model.validation.check.%s" .shape.check) (dict "key" .key "value" .value) }}
{{- end }}
{{- end }}

{{/* What is wrong with what is in a map. Takes what validation.shape takes. */}}
{{- define "tensorflow-model.validation.fields" -}}
{{- $key := .key }}
{{- $value := .value }}
{{- $shape := .shape }}
{{- $file := .file }}
{{- range $shape.needs }}
{{- if or (kindIs "invalid" (get $value .)) (eq (toString (get $value .)) "") (eq (toString (get $value .)) "[]") }}
{{ $key }}.{{ . }} is missing or empty but Kubernetes needs it: give it
{{- end }}
{{- end }}
{{- $choices := concat (default list $shape.oneOf) (default list $shape.atMostOne) }}
{{- $chosen := list }}
{{- range $choices }}
{{- if and (hasKey $value .) (ne (get $value . | toString) "") }}
{{- $chosen = append $chosen . }}
{{- end }}
{{- end }}
{{- if gt (len $chosen) 1 }}
{{ $key }} has {{ join " and " $chosen }} but Kubernetes takes one of them: leave the other out
{{- else if and $shape.oneOf (not $chosen) }}
{{ $key }} has none of {{ join ", " $shape.oneOf }} but Kubernetes needs one of them: give it
{{- end }}
{{- range $name, $item := $value }}
{{- if and $shape.only (not (has $name $shape.only)) }}
{{ $key }} has {{ $name }}, which Kubernetes does not know there: write {{ join " or " $shape.only }}, and below it what you mean
{{- end }}
{{- if and $shape.reserved (regexMatch (default "^$" $shape.reserved) $name) }}
{{ $key }} has {{ $name }}, a label of the chart's own, which selectors hold or pods are found by: leave it out
{{- end }}
{{- if hasKey (default dict $shape.never) $name }}
{{ $key }}.{{ $name }} is not of {{ last (splitList "." $key) }}: put it into {{ get $shape.never $name }}
{{- end }}
{{- if $shape.names }}
{{- $form := get $file.texts $shape.names }}
{{- if not (and (le (len $name) 317) (regexMatch $form.pattern $name)) }}
{{ $key }} has {{ toJson $name }} but {{ $form.say }}
{{- end }}
{{- end }}
{{- $of := default $shape.values (get (default dict $shape.keys) $name) }}
{{- if and $of (not (kindIs "invalid" $item)) }}
{{- include "tensorflow-model.validation.shape" (dict "key" (printf "%s.%s" $key $name) "value" $item "shape" $of "file" $file) }}
{{- end }}
{{- end }}
{{- end }}

{{/* An expression whose operator asks for values. Takes dict "key" and "value". */}}
{{- define "tensorflow-model.validation.check.expression" -}}
{{- $needsValues := has .value.operator (list "In" "NotIn") }}
{{- if and $needsValues (not .value.values) }}
{{ .key }}.operator is {{ .value.operator }} but {{ .key }}.values is empty: name the values, or use Exists or DoesNotExist
{{- else if and (has .value.operator (list "Exists" "DoesNotExist")) .value.values }}
{{ .key }}.operator is {{ .value.operator }} but {{ .key }}.values is not empty: leave the values out, or use In or NotIn
{{- end }}
{{- end }}

{{/* A toleration whose fields do not go together. Takes dict "key" and "value". */}}
{{- define "tensorflow-model.validation.check.toleration" -}}
{{- if and (eq .value.operator "Exists") .value.value }}
{{ .key }}.operator is Exists but {{ .key }}.value is {{ .value.value }}: leave the value out, or the operator
{{- end }}
{{- if and (not .value.key) (ne .value.operator "Exists") }}
{{ .key }} has no key, which tolerates every taint, but Kubernetes wants that said: add operator: Exists, or a key
{{- end }}
{{- if and (not (kindIs "invalid" .value.tolerationSeconds)) (ne .value.effect "NoExecute") }}
{{ .key }}.tolerationSeconds is for the effect NoExecute alone: add effect: NoExecute, or leave the seconds out
{{- end }}
{{- end }}

{{/* A spread constraint whose fields do not go together. Takes dict "key" and "value". */}}
{{- define "tensorflow-model.validation.check.spread" -}}
{{- if and .value.minDomains (ne .value.whenUnsatisfiable "DoNotSchedule") }}
{{ .key }}.minDomains is for whenUnsatisfiable: DoNotSchedule alone: leave it out, or set whenUnsatisfiable
{{- end }}
{{- end }}

{{/* A port of a rule whose fields do not go together. Takes dict "key" and "value". */}}
{{- define "tensorflow-model.validation.check.policyPort" -}}
{{- if not (kindIs "invalid" .value.endPort) }}
{{- if typeIs "string" (default "" .value.port) }}
{{ .key }}.endPort is the last of some ports but {{ .key }}.port, the first, is no number: give it
{{- else if lt (int .value.endPort) (int .value.port) }}
{{ .key }}.endPort is {{ int .value.endPort }}, which is before {{ .key }}.port ({{ int .value.port }}): exchange them
{{- end }}
{{- end }}
{{- end }}

{{/* Who a rule means: nobody, or two ways at once. Takes dict "key" and "value". */}}
{{- define "tensorflow-model.validation.check.peer" -}}
{{- $hasSelector := or (hasKey .value "podSelector") (hasKey .value "namespaceSelector") }}
{{- if and (hasKey .value "ipBlock") $hasSelector }}
{{ .key }} has ipBlock beside a selector but Kubernetes takes one of them: make two items of it
{{- else if not (or (hasKey .value "ipBlock") $hasSelector) }}
{{ .key }} names nobody: give podSelector, namespaceSelector ({} for all of them) or ipBlock
{{- end }}
{{- end }}

{{/* A metric that does not have what its type is named after. Takes dict "key" and "value". */}}
{{- define "tensorflow-model.validation.check.metric" -}}
{{- $name := untitle .value.type }}
{{- if not (kindIs "map" (get .value $name)) }}
{{ .key }}.type is {{ .value.type }} but {{ .key }}.{{ $name }} is not there: give it, or correct the type
{{- end }}
{{- end }}

{{/* A path that no request is compared with; what ImplementationSpecific means is the controller's. Takes dict "key" and "value". */}}
{{- define "tensorflow-model.validation.check.ingressPath" -}}
{{- if and (ne .value.pathType "ImplementationSpecific") (regexMatch "//|/\\.{1,2}(/|$)|(?i:%2f)" .value.path) }}
{{ .key }}.path is {{ .value.path }} but Kubernetes takes a path without //, /./, /../ and %2F there: write it shorter
{{- end }}
{{- end }}

{{/* A place in a volume that leads out of it. Takes dict "key" and "value". */}}
{{- define "tensorflow-model.validation.check.mount" -}}
{{- range $name := list "subPath" "subPathExpr" }}
{{- $path := get $.value $name }}
{{- if or (hasPrefix "/" $path) (has ".." (splitList "/" $path)) }}
{{ $.key }}.{{ $name }} is {{ $path }}, which leads out of the volume: name a folder or file inside it, without a / in front and without ..
{{- end }}
{{- end }}
{{- end }}

{{/* A profile without its file, or the other way round. Takes dict "key" and "value". */}}
{{- define "tensorflow-model.validation.check.seccomp" -}}
{{- if and (eq .value.type "Localhost") (not .value.localhostProfile) }}
{{ .key }}.type is Localhost but {{ .key }}.localhostProfile does not name the file: give it, or use RuntimeDefault
{{- else if and (ne .value.type "Localhost") .value.localhostProfile }}
{{ .key }}.localhostProfile is set but {{ .key }}.type is {{ .value.type }}: set type to Localhost, or leave the file out
{{- end }}
{{- end }}

{{/* A path of a route that no request has. Takes dict "key" and "value". */}}
{{- define "tensorflow-model.validation.check.routePath" -}}
{{- $path := default dict .value.path }}
{{- if and $path.value (ne $path.type "RegularExpression") (not (hasPrefix "/" $path.value)) }}
{{ .key }}.path.value is {{ $path.value }} but paths of requests start with /: write /{{ $path.value }}
{{- end }}
{{- end }}

{{/* A filter without what its type is named after, or one that leaves nothing for the api. Takes dict "key" and "value". */}}
{{- define "tensorflow-model.validation.check.routeFilter" -}}
{{- $name := get (dict "URLRewrite" "urlRewrite" "CORS" "cors") .value.type | default (untitle .value.type) }}
{{- if eq .value.type "RequestRedirect" }}
{{ .key }}.type is RequestRedirect, which answers in place of the api, and a route has one or the other: leave it out, and make a route of its own for it (extraObjects)
{{- else if not (kindIs "map" (get .value $name)) }}
{{ .key }}.type is {{ .value.type }} but {{ .key }}.{{ $name }} is not there: give it, or correct the type
{{- end }}
{{- end }}
