{{/* What check, training and publisher are told alike: which model and which run. Takes dict "root" and "isScheduled". */}}
{{- define "tensorflow-model.training.runEnv" -}}
- name: MODEL_NAME
  value: {{ .root.Values.model.name | quote }}
- name: MODEL_KEY
  value: {{ include "tensorflow-model.model.key" .root | quote }}
# The run's folder in the workspace.
- name: RUN
  {{- include "tensorflow-model.training.run" (dict "isScheduled" .isScheduled "usual" "first") | nindent 2 }}
{{- end }}

{{/* A run's name: that of its Job where there is a schedule. Takes dict "isScheduled" and "usual". */}}
{{- define "tensorflow-model.training.run" -}}
{{- if .isScheduled -}}
valueFrom:
  fieldRef:
    fieldPath: metadata.labels['batch.kubernetes.io/job-name']
{{- else -}}
value: {{ .usual | quote }}
{{- end }}
{{- end }}

{{/* What check and publisher are told alike: the store, the workspace, the run that is published. Takes the same. */}}
{{- define "tensorflow-model.training.storeEnv" -}}
{{- if include "tensorflow-model.modelStore.isVolume" .root }}
- name: MODEL_STORE
  value: /model-store
{{- end }}
{{- include "tensorflow-model.s3.env" (dict "root" .root "component" "training") }}
- name: MARKER
  value: /check/published
- name: WORKSPACE
  value: /workspaces
# Empty publishes the key's first version, a name a further one.
- name: REVISION
  {{- include "tensorflow-model.training.run" (dict "isScheduled" .isScheduled "usual" "") | nindent 2 }}
{{- end }}

{{/* Environment of the check. Takes dict "root" and "isScheduled". */}}
{{- define "tensorflow-model.check.env" -}}
{{- $data := include "tensorflow-model.training.data" .root | fromJson -}}
{{- include "tensorflow-model.training.runEnv" . }}
{{- include "tensorflow-model.training.storeEnv" . }}
- name: CANDIDATE
  value: /candidate
{{- if $data.uri }}
- name: DATA_URI
  value: {{ $data.uri | replace "$" "$$" | quote }}
- name: DATA_SHA256
  value: {{ $data.sha256 | quote }}
{{- with .root.Values.training.data.caBundle.configMapName }}
- name: CA_BUNDLE
  value: /ca-bundle/ca.crt
{{- end }}
{{- end }}
{{- end }}

{{/*
Environment of training, a recipe or any program: its folders, and each parameter by its name. Takes dict "root" and
"isScheduled".
*/}}
{{- define "tensorflow-model.training.env" -}}
{{- include "tensorflow-model.training.folderEnv" . }}
{{- range $name, $value := include "tensorflow-model.training.params" .root | fromJson }}
- name: {{ upper $name }}
  value: {{ (kindIs "string" $value | ternary $value (toJson $value)) | replace "$" "$$" | quote }}
{{- end }}
{{- end }}

{{/* What training is told beside its parameters, whose names these are not. Takes the same. */}}
{{- define "tensorflow-model.training.folderEnv" -}}
{{- $data := include "tensorflow-model.training.data" .root | fromJson -}}
{{- include "tensorflow-model.training.runEnv" . }}
- name: MODEL_DIR
  value: /output/model
- name: RESULT_FILE
  value: /output/result.json
- name: TRAINING_CONFIG
  value: /config/training.json
- name: CHECKPOINT_DIR
  value: /workspace/checkpoints
- name: LOG_DIR
  value: /workspace/logs
{{- if $data }}
- name: DATA_DIR
  value: /data
{{- end }}
{{- with $data.sha256 }}
- name: DATA_SHA256
  value: {{ . | quote }}
{{- end }}
{{- if .root.Values.training.code }}
- name: CODE_DIR
  value: /code
{{- end }}
# The user has no home directory, and the root file system is read-only.
- name: HOME
  value: /tmp
{{- include "tensorflow-model.threadsEnv" .root.Values.training }}
{{- end }}

{{/* Environment of the publisher. Takes dict "root" and "isScheduled". */}}
{{- define "tensorflow-model.publisher.env" -}}
{{- $values := .root.Values -}}
{{- $blessing := $values.training.blessing -}}
{{- include "tensorflow-model.training.runEnv" . }}
{{- include "tensorflow-model.training.storeEnv" . }}
- name: TRAINING_CONFIG
  value: /config/training.json
- name: MODEL_DIR
  value: /output/model
- name: RESULT_FILE
  value: /output/result.json
- name: CANDIDATE
  value: /candidate
- name: SIGNATURE_NAME
  value: {{ $values.model.signature | quote }}
{{- if not (kindIs "invalid" $values.training.gates) }}
- name: GATES
  value: {{ include "tensorflow-model.training.gates" .root | quote }}
{{- end }}
- name: SERVED_REST
  value: http://{{ include "tensorflow-model.fullname" .root }}-server:{{ $values.server.service.ports.rest | int }}
- name: BLESSING
  value: {{ $blessing.enabled | toString | quote }}
{{- if $blessing.enabled }}
- name: SERVER_GRPC
  value: 127.0.0.1:8500
- name: BLESSING_TIMEOUT_SECONDS
  value: {{ include "tensorflow-model.number" $blessing.timeoutSeconds | quote }}
{{- range $name := list "absoluteTolerance" "relativeTolerance" }}
{{- $tolerance := index $blessing $name }}
{{- if not (kindIs "invalid" $tolerance) }}
- name: {{ snakecase $name | upper }}
  value: {{ include "tensorflow-model.number" $tolerance | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- range $name := list "versions" "keys" }}
{{- $count := index $values.modelStore.keep $name }}
{{- if not (kindIs "invalid" $count) }}
- name: KEEP_{{ upper $name }}
  value: {{ $count | int64 | quote }}
{{- end }}
{{- end }}
{{- with include "tensorflow-model.model.pinned" .root }}
- name: PINNED_VERSIONS
  value: {{ . | quote }}
{{- end }}
{{- end }}

{{/* The gates as JSON, their numbers as numbers however they were given. Takes the root context. */}}
{{- define "tensorflow-model.training.gates" -}}
{{- $gates := list }}
{{- range .Values.training.gates }}
  {{- $gate := deepCopy . }}
  {{- range $name := list "min" "max" "by" }}
    {{- if hasKey $gate $name }}
      {{- $_ := set $gate $name (get $gate $name | toString | float64) }}
    {{- end }}
  {{- end }}
  {{- $gates = append $gates $gate }}
{{- end }}
{{- $gates | toJson }}
{{- end }}
