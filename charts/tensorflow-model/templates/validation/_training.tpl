{{/* What cannot be trained, or cannot be told, one sentence a line. Takes the root context. */}}
{{- define "tensorflow-model.validation.training" -}}
{{- if .Values.training.enabled }}
{{- include "tensorflow-model.validation.code" . }}
{{- include "tensorflow-model.validation.params" . }}
{{- include "tensorflow-model.validation.data" . }}
{{- include "tensorflow-model.validation.gates" . }}
{{- include "tensorflow-model.validation.workspace" . }}
{{- include "tensorflow-model.validation.arguments" . }}
{{- include "tensorflow-model.validation.schedule" .Values.training.schedule }}
{{- end }}
{{- if and .Values.tensorboard.enabled (not (and .Values.training.enabled .Values.training.workspace.enabled)) }}
tensorboard.enabled is true but there is no workspace that it could show runs of: set training.enabled=true and training.workspace.enabled=true, or tensorboard.enabled=false
{{- end }}
{{- end }}

{{/* A schedule that Kubernetes refuses. Takes training.schedule. */}}
{{- define "tensorflow-model.validation.schedule" -}}
{{- $fields := list }}
{{- range list "[0-5]?[0-9]" "(2[0-3]|[01]?[0-9])" "(3[01]|[12][0-9]|0?[1-9])" "(1[0-2]|0?[1-9]|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))" "([0-6]|(?i:sun|mon|tue|wed|thu|fri|sat))" }}
{{- $item := printf `([*?]|%s(-%s)?)(/[1-9][0-9]*)?` . . }}
{{- $fields = append $fields (printf "%s(,%s)*" $item $item) }}
{{- end }}
{{- if and .cron (not (regexMatch (printf "^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|@every [0-9hms]+| *%s *)$" (join " +" $fields)) .cron)) }}
training.schedule.cron is {{ toJson .cron }} but a schedule is five fields (minute 0-59, hour 0-23, day of the month 1-31, month 1-12, day of the week 0-6 from Sunday) or a word like @daily: write for example "0 3 * * *"{{ if contains "TZ=" .cron }}, and the zone into training.schedule.timeZone{{ end }}
{{- end }}
{{- if and .timeZone (or (eq (lower .timeZone) "local") (not (regexMatch "^[A-Za-z][-A-Za-z0-9_+]*(/[-A-Za-z0-9_+]+)*$" .timeZone))) }}
training.schedule.timeZone is {{ toJson .timeZone }} but Kubernetes takes the name of a zone: write for example Europe/Berlin or Etc/UTC
{{- end }}
{{- if and .timeZone (not .cron) }}
training.schedule.timeZone is set but training.schedule.cron is empty, so nothing is started: set cron, or leave it out
{{- end }}
{{- end }}

{{/* Code that does not fit into a release, or into a folder. Takes the root context. */}}
{{- define "tensorflow-model.validation.code" -}}
{{- $size := 0 }}
{{- $recipes := .Files.Get "files/recipes.json" | fromJson }}
{{- range $name, $text := .Values.training.code }}
  {{- $size = add $size (len $text) (len $name) }}
{{- if not (regexMatch "^[-._a-zA-Z0-9]{1,253}$" $name) }}
training.code has {{ toJson $name }} but its files are keys of a ConfigMap: use letters, digits, "-", "_" and ".", without a folder
{{- else if eq $name "training.json" }}
training.code has a file training.json but that is the file training is told its parameters in: call it otherwise
{{- else if hasKey $recipes (trimSuffix ".py" $name) }}
training.code has {{ $name }} but {{ trimSuffix ".py" $name }} is the name of a built-in recipe: call the file otherwise
{{- end }}
{{- end }}
{{- if gt (int $size) 262144 }}
training.code has {{ $size }} bytes but a release, which Helm keeps in a Secret, has room for 262144: put the code into an image (FROM the training image, see README.md) or into the claim of training.data
{{- end }}
{{- if and .Values.training.code (not .Values.training.command) (not (hasKey $recipes .Values.training.module)) (not (contains "." .Values.training.module)) (not (hasKey .Values.training.code (printf "%s.py" .Values.training.module))) (eq .Values.training.image.repository "tensorflow-model-training") }}
training.module is {{ .Values.training.module }} but training.code has {{ keys .Values.training.code | sortAlpha | join ", " }} and no {{ .Values.training.module }}.py: name the module as its file, or set training.image to an image that has it
{{- else if and (not .Values.training.code) (not .Values.training.command) (not (hasKey $recipes .Values.training.module)) (eq .Values.training.image.repository "tensorflow-model-training") }}
training.module is {{ .Values.training.module }} but the training image has {{ keys $recipes | sortAlpha | join ", " }} alone: add its file (--set-file 'training.code.{{ splitList "." .Values.training.module | last }}\.py=...'), or set training.image to an image that has it
{{- end }}
{{- end }}

{{/* Parameters that no environment can hold, and those of a built-in recipe that it refuses. Takes the root context. */}}
{{- define "tensorflow-model.validation.params" -}}
{{- $recipe := include "tensorflow-model.training.recipe" . | fromJson }}
{{- $own := list }}
{{- range include "tensorflow-model.training.folderEnv" (dict "root" . "isScheduled" false) | fromYamlArray }}
  {{- $own = append $own .name }}
{{- end }}
{{- $seen := dict }}
{{- range $name, $value := .Values.training.params }}
{{- $key := printf "training.params.%s" $name }}
{{- $variable := snakecase $name | upper }}
{{- $other := get $seen $variable }}
{{- $_ := set $seen $variable $name }}
{{- if not (regexMatch "^[A-Za-z][A-Za-z0-9_]*$" $name) }}
{{ $key }} cannot be given, for a parameter is an environment variable and a Python name: use letters, digits and "_", the first a letter
{{- else if or (has $variable (concat $own (list "DATA_DIR" "DATA_SHA256" "CODE_DIR" "PATH" "USER" "SHELL" "LANG" "PWD" "TERM" "HOSTNAME" "TMPDIR"))) (regexMatch "^(LD_|PYTHON|KUBERNETES_|TF_|CUDA_)" $variable) }}
{{ $key }} cannot be given, for the environment variable {{ $variable }} means something else: call the parameter otherwise
{{- else if $other }}
{{ $key }} and training.params.{{ $other }} are the same parameter: leave one of them out
{{- else if and $recipe.parameters (not (hasKey $recipe.parameters (snakecase $name))) }}
{{ $key }} is no parameter of the recipe {{ $.Values.training.module }}, which has {{ keys $recipe.parameters | sortAlpha | join ", " }}: correct the name, or set training.module
{{- else if $recipe.parameters }}
{{- include "tensorflow-model.validation.param" (dict "key" $key "value" $value "declared" (get $recipe.parameters (snakecase $name))) }}
{{- end }}
{{- end }}
{{- end }}

{{/* A value that a declared parameter cannot have. Takes dict "key", "value" and "declared". */}}
{{- define "tensorflow-model.validation.param" -}}
{{- $declared := .declared }}
{{- if and (has $declared.type (list "integer" "number")) (not (kindIs "invalid" .value)) }}
{{- $text := kindIs "string" .value | ternary (toString .value) (toJson .value) }}
{{- $wanted := include "tensorflow-model.validation.bounds" $declared }}
{{- if not (regexMatch "^-?[0-9]+(\\.[0-9]+)?([eE][-+]?[0-9]{1,3})?$" $text) }}
{{ .key }} is {{ $text }} but it is {{ $wanted }}
{{- else }}
{{- $number := float64 $text }}
{{- $isWhole := or (ne $declared.type "integer") (eq $number (floor $number)) }}
{{- $isAbove := and (or (not (hasKey $declared "minimum")) (ge $number (float64 $declared.minimum))) (or (not (hasKey $declared "exclusiveMinimum")) (gt $number (float64 $declared.exclusiveMinimum))) }}
{{- $isBelow := and (or (not (hasKey $declared "maximum")) (le $number (float64 $declared.maximum))) (or (not (hasKey $declared "exclusiveMaximum")) (lt $number (float64 $declared.exclusiveMaximum))) }}
{{- if not (and $isWhole $isAbove $isBelow) }}
{{ .key }} is {{ $text }} but it is {{ $wanted }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* What a declared number may be, in words. Takes the declaration. */}}
{{- define "tensorflow-model.validation.bounds" -}}
{{- $words := list (ternary "a whole number" "a number" (eq .type "integer")) }}
{{- range $name, $word := dict "minimum" "from" "exclusiveMinimum" "above" }}
  {{- if hasKey $ $name }}
    {{- $words = append $words (printf "%s %s" $word (get $ $name | toJson)) }}
  {{- end }}
{{- end }}
{{- range $name, $word := dict "maximum" "to" "exclusiveMaximum" "below" }}
  {{- if hasKey $ $name }}
    {{- $words = append $words (printf "%s %s" $word (get $ $name | toJson)) }}
  {{- end }}
{{- end }}
{{- $words | join " " }}: {{ .help }}
{{- end }}

{{/*
Arguments and variables that would be parameters beside the model key, which would not know of them. Takes the root
context.
*/}}
{{- define "tensorflow-model.validation.arguments" -}}
{{- $recipe := include "tensorflow-model.training.recipe" . | fromJson }}
{{- range .Values.training.extraArgs }}
{{- if $.Values.training.command }}
training.extraArgs has {{ toJson . }} but training.command is a whole command: put it there, where the model key knows of it
{{- else if not (hasPrefix "--checkpoint-steps" .) }}
training.extraArgs has {{ toJson . }}, which the model key would not know of: parameters are training.params, and the trainer's own flags but --checkpoint-steps come from the keys of training (README.md lists them)
{{- end }}
{{- end }}
{{- range .Values.training.extraEnv }}
{{- if hasKey (default dict $recipe.parameters) (lower .name) }}
training.extraEnv sets {{ .name }}, a parameter that the model key would not know of: set training.params.{{ lower .name | camelcase | untitle }}
{{- end }}
{{- end }}
{{- end }}

{{/* Data that is in no place, or in two. Takes the root context. */}}
{{- define "tensorflow-model.validation.data" -}}
{{- $data := include "tensorflow-model.training.data" . | fromJson }}
{{- if and $data.existingClaim $data.uri }}
training.data.existingClaim and training.data.uri are both set but data comes from one place: leave one of them out
{{- end }}
{{- if and $data.path (not $data.existingClaim) }}
training.data.path is set but there is no claim it is inside of: set training.data.existingClaim
{{- end }}
{{- if or (hasPrefix "/" (default "" $data.path)) (has ".." (splitList "/" (default "" $data.path))) }}
training.data.path is {{ toJson $data.path }}, which leads out of the claim: name a folder inside it, without a / in front and without ..
{{- end }}
{{- if $data.uri }}
{{- if not (regexMatch "^(https|s3)://[^/?#\\s]+/\\S+$" $data.uri) }}
training.data.uri is {{ toJson $data.uri }}, which is not the address of a file over https or in a bucket: use https://HOST/PATH or s3://BUCKET/KEY, or put the data into a claim (training.data.existingClaim)
{{- end }}
{{- if not $data.sha256 }}
training.data.uri is set but training.data.sha256 is empty, so nothing says which bytes are the data: set it to what sha256sum prints for the file
{{- end }}
{{- else if and $data.sha256 (not $data.existingClaim) }}
training.data.sha256 is set but neither training.data.uri nor training.data.existingClaim is: set one of them, or leave it out
{{- end }}
{{- end }}

{{/* Gates that hold nothing to anything. Takes the root context. */}}
{{- define "tensorflow-model.validation.gates" -}}
{{- range $index, $gate := .Values.training.gates }}
{{- $key := printf "training.gates[%d]" $index }}
{{- $bounds := list }}
{{- range $name := list "min" "max" "notWorseThan" }}
  {{- if hasKey $gate $name }}
    {{- $bounds = append $bounds $name }}
  {{- end }}
{{- end }}
{{- if not $gate.metric }}
{{ $key }} names no metric: give the name that training reports it by, for example {metric: accuracy, min: 0.9}
{{- end }}
{{- if not $bounds }}
{{ $key }} holds {{ default "a metric" $gate.metric }} to nothing: give min, max, or notWorseThan: served
{{- end }}
{{- range $name := list "min" "max" "by" }}
{{- if and (hasKey $gate $name) (not (regexMatch "^-?[0-9]+(\\.[0-9]+)?([eE][-+]?[0-9]{1,3})?$" (get $gate $name | toString))) }}
{{ $key }}.{{ $name }} is {{ get $gate $name | toJson }} but it is compared with a number: give one
{{- end }}
{{- end }}
{{- if hasKey $gate "notWorseThan" }}
{{- if ne $gate.notWorseThan "served" }}
{{ $key }}.notWorseThan is {{ toJson $gate.notWorseThan }} but a model is compared with the one in service: write notWorseThan: served, or give min or max
{{- end }}
{{- if and (not $gate.goal) $gate.metric (not (regexMatch "(^|_)(accuracy|acc|auc|precision|recall|f1|f1_score|r2|r2_score|loss|error|mae|mse|rmse|mape)$|_error$|^mean_" $gate.metric)) }}
{{ $key }} compares {{ $gate.metric }} with the model in service but its name does not tell whether more or less of it is better: add goal: maximize or goal: minimize
{{- end }}
{{- else }}
{{- range $name := list "by" "goal" "allowOtherData" }}
{{- if hasKey $gate $name }}
{{ $key }}.{{ $name }} belongs to notWorseThan, which is not given: add notWorseThan: served, or leave {{ $name }} out
{{- end }}
{{- end }}
{{- end }}
{{- if and $gate.goal (not (has $gate.goal (list "maximize" "minimize"))) }}
{{ $key }}.goal is {{ toJson $gate.goal }}: write maximize or minimize
{{- end }}
{{- end }}
{{- end }}

{{/* A workspace that training and TensorBoard cannot share. Takes the root context. */}}
{{- define "tensorflow-model.validation.workspace" -}}
{{- $workspace := .Values.training.workspace }}
{{- if and $workspace.enabled (has "ReadWriteOncePod" $workspace.accessModes) .Values.tensorboard.enabled }}
training.workspace.accessModes has ReadWriteOncePod but training and TensorBoard both mount the volume: use ReadWriteOnce (one node) or ReadWriteMany, or set tensorboard.enabled=false
{{- end }}
{{- if and $workspace.existingClaim (not $workspace.enabled) }}
training.workspace.existingClaim is set but training.workspace.enabled is false, so nothing is kept in it: set enabled to true, or leave the claim out
{{- end }}
{{- end }}
