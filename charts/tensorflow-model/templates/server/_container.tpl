{{/* Flags of the model server that the chart sets. Takes the root context. */}}
{{- define "tensorflow-model.server.args" -}}
- --port=8500
- --rest_api_port=8501
- --model_name={{ .Values.model.name }}
- --model_base_path=/models/{{ .Values.model.name }}
- --file_system_poll_wait_seconds={{ .Values.server.fileSystemPollWaitSeconds | int }}
{{- end }}

{{/* Environment of the model server. Takes nothing. */}}
{{- define "tensorflow-model.server.env" -}}
# The user has no home directory, and the root file system is read-only.
- name: HOME
  value: /tmp
{{- end }}
