{{/* Flags of TensorBoard that the chart sets: every run of the workspace is shown. Takes nothing. */}}
{{- define "tensorflow-model.tensorboard.args" -}}
- --logdir=/workspaces/runs
- --port=6006
- --bind_all
{{- end }}

{{/* Environment of TensorBoard. Takes nothing. */}}
{{- define "tensorflow-model.tensorboard.env" -}}
# The user has no home directory, and the root file system is read-only.
- name: HOME
  value: /tmp
{{- end }}
