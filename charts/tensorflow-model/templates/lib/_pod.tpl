{{/* The first fields of every pod spec: identity and user. Takes dict "root" and "component". */}}
{{- define "tensorflow-model.podHead" -}}
{{- include "tensorflow-model.inputs" (dict "template" "podHead" "needs" (list "root" "component") "given" .) -}}
{{- with concat .root.Values.global.imagePullSecrets .root.Values.imagePullSecrets | uniq -}}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{ end -}}
serviceAccountName: {{ include "tensorflow-model.serviceAccountName" .root | quote }}
automountServiceAccountToken: false
# Services are found by DNS.
enableServiceLinks: false
{{- with (index .root.Values .component).podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/*
Volumes of every pod: the model store where it is mounted, a writable /tmp, and the component's own. Takes dict "root"
and "component".
*/}}
{{- define "tensorflow-model.volumes" -}}
{{- include "tensorflow-model.inputs" (dict "template" "volumes" "needs" (list "root" "component") "given" .) -}}
{{- if include "tensorflow-model.modelStore.isMounted" . -}}
- name: model-store
  persistentVolumeClaim:
    claimName: {{ include "tensorflow-model.modelStore.claimName" .root | quote }}
{{ end -}}
- name: tmp
  emptyDir: {}
{{- with (index .root.Values .component).extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
