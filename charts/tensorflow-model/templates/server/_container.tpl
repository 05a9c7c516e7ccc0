{{/* Flags of the model server that the chart sets. Takes the root context. */}}
{{- define "tensorflow-model.server.args" -}}
- --port=8500
- --rest_api_port=8501
{{- /* Kubernetes' gRPC probes speak no TLS. */}}
{{- if not .Values.server.tls.secretName }}
- --enable_grpc_healthcheck_service=true
{{- end }}
{{- with .Values.server.reloadConfigRoot }}
- --reload_config_root={{ . }}
{{- end }}
{{- with include "tensorflow-model.server.limits" .Values.server.limits }}
{{ . }}
{{- end }}
{{- if include "tensorflow-model.server.hasModelConfig" . }}
- --model_config_file=/etc/tensorflow-serving/model_config.txt
# Labels are read before versions are loaded.
- --allow_version_labels_for_unavailable_models=true
{{- else }}
- {{ printf "--model_name=%s" .Values.model.name | quote }}
- {{ printf "--model_base_path=/models/%s" .Values.model.name | quote }}
{{- end }}
- --file_system_poll_wait_seconds={{ .Values.server.fileSystemPollWaitSeconds | int }}
{{- if include "tensorflow-model.model.isFollowed" . }}
# A version that does not load is taken away by the follower, which is told at once; by default it would be tried for minutes.
- --max_num_load_retries=0
{{- end }}
{{- if .Values.server.batching.enabled }}
- --enable_batching=true
- --batching_parameters_file=/etc/tensorflow-serving/batching_parameters.txt
{{- end }}
{{- if .Values.server.monitoring.enabled }}
- --monitoring_config_file=/etc/tensorflow-serving/monitoring_config.txt
{{- end }}
{{- if .Values.server.tls.secretName }}
- --ssl_config_file=/ssl-config/ssl_config.txt
{{- end }}
{{- end }}

{{/* Flags of the drop-in for the limits that have a value; "" where none has one. Takes server.limits. */}}
{{- define "tensorflow-model.server.limits" -}}
{{- $lines := list }}
{{- range $port, $flags := dict "rest" "rest_api" "grpc" "grpc" }}
  {{- range $name, $value := index (default dict $) $port }}
    {{- if not (kindIs "invalid" $value) }}
      {{- $lines = append $lines (printf "- --%s_%s=%s" $flags (snakecase $name) (include "tensorflow-model.number" $value)) }}
    {{- end }}
  {{- end }}
{{- end }}
{{- $lines | join "\n" }}
{{- end }}

{{/* Environment of the model server. Takes nothing. */}}
{{- define "tensorflow-model.server.env" -}}
# The user has no home directory, and the root file system is read-only.
- name: HOME
  value: /tmp
{{- include "tensorflow-model.threadsEnv" .Values.server }}
{{- end }}
