{{/*
Files of the model server, by name: what tensorflow_model_server reads besides the model. Nothing for files that say no
more than the flags do. Takes the root context; renders YAML.
*/}}
{{- define "tensorflow-model.server.files" -}}
{{- $server := .Values.server -}}
{{- if include "tensorflow-model.server.hasModelConfig" . }}
model_config.txt: |
  {{- include "tensorflow-model.server.modelConfig" . | nindent 2 }}
{{- end }}
{{- if $server.batching.enabled }}
batching_parameters.txt: |
  {{- include "tensorflow-model.server.batchingParameters" . | nindent 2 }}
{{- end }}
{{- if $server.monitoring.enabled }}
monitoring_config.txt: |
  prometheus_config {
    enable: true
    path: {{ $server.monitoring.path | quote }}
  }
{{- end }}
{{- end }}

{{/* "true" where versions or labels are given, else "". Takes the root context. */}}
{{- define "tensorflow-model.server.hasModelConfig" -}}
{{- if or .Values.server.config.versions .Values.server.config.versionLabels -}}
true
{{- end }}
{{- end }}

{{/*
ModelServerConfig (tensorflow_serving/config/model_server_config.proto). All versions are served because the loader
hands over no others. Takes the root context.
*/}}
{{- define "tensorflow-model.server.modelConfig" -}}
model_config_list {
  config {
    name: {{ .Values.model.name | quote }}
    base_path: {{ printf "/models/%s" .Values.model.name | quote }}
    model_platform: "tensorflow"
    model_version_policy { all {} }
    {{- range $label, $version := .Values.server.config.versionLabels }}
    version_labels { key: {{ $label | quote }} value: {{ include "tensorflow-model.versionNumber" $version }} }
    {{- end }}
  }
}
{{- end }}

{{/*
BatchingParameters (tensorflow_serving/servables/tensorflow/session_bundle_config.proto): numbers are messages there.
Takes the root context.
*/}}
{{- define "tensorflow-model.server.batchingParameters" -}}
{{- $batching := .Values.server.batching }}
{{- $lines := list }}
{{- range $name := list "maxBatchSize" "batchTimeoutMicros" "maxEnqueuedBatches" "numBatchThreads" }}
  {{- if not (kindIs "invalid" (index $batching $name)) }}
    {{- $lines = append $lines (printf "%s { value: %s }" (snakecase $name) (include "tensorflow-model.wholeNumber" (index $batching $name))) }}
  {{- end }}
{{- end }}
{{- if $batching.enableLargeBatchSplitting }}
  {{- $lines = append $lines "enable_large_batch_splitting { value: true }" }}
  {{- with $batching.maxExecutionBatchSize }}
    {{- $lines = append $lines (printf "max_execution_batch_size { value: %s }" (include "tensorflow-model.wholeNumber" .)) }}
  {{- end }}
{{- end }}
{{- range $batching.allowedBatchSizes }}
  {{- $lines = append $lines (printf "allowed_batch_sizes: %s" (include "tensorflow-model.wholeNumber" .)) }}
{{- end }}
{{- if $batching.padVariableLengthInputs }}
  {{- $lines = append $lines "pad_variable_length_inputs: true" }}
{{- end }}
{{- $lines | join "\n" }}
{{- end }}
