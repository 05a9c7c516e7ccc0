{{/* Name in the server's certificate. Takes the root context. */}}
{{- define "tensorflow-model.server.tlsName" -}}
{{- .Values.server.tls.serverName | default (printf "%s-server" (include "tensorflow-model.fullname" .)) }}
{{- end }}

{{/*
Volumes of the server's pod for TLS: the Secret, and, in memory, the SSLConfig the loader writes from it (that file holds
the PEM text itself). Takes the root context.
*/}}
{{- define "tensorflow-model.server.tlsVolumes" -}}
{{- with .Values.server.tls.secretName -}}
- name: tls
  secret:
    secretName: {{ . | quote }}
    # No others than the user of the pod, by fsGroup, can read it.
    defaultMode: 0440
- name: ssl-config
  emptyDir:
    medium: Memory
    sizeLimit: 1Mi
{{- end }}
{{- end }}

{{/*
Volume of the api's pod for TLS: the authority, and the certificate it shows. Takes the root context.
*/}}
{{- define "tensorflow-model.api.tlsVolumes" -}}
{{- $tls := .Values.server.tls -}}
{{- if $tls.secretName -}}
- name: server-tls
  projected:
    defaultMode: 0440
    sources:
      - secret:
          name: {{ $tls.secretName | quote }}
          items:
            - key: ca.crt
              path: ca.crt
      {{- with $tls.clientSecretName }}
      - secret:
          name: {{ . | quote }}
          items:
            - key: tls.crt
              path: tls.crt
            - key: tls.key
              path: tls.key
      {{- end }}
{{- end }}
{{- end }}
