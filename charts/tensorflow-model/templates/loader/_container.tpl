{{/*
The init container that hands the model over. In the server's pod it verifies the files and links them; in the api's it
copies the manifest only. Takes dict "root" and "manifestOnly".
*/}}
{{- define "tensorflow-model.loader.container" -}}
{{- include "tensorflow-model.inputs" (dict "template" "loader.container" "needs" (list "root" "manifestOnly") "given" .) -}}
{{- $values := .root.Values -}}
- name: loader
  image: {{ include "tensorflow-model.image" (dict "root" .root "component" "loader") | quote }}
  imagePullPolicy: {{ $values.loader.image.pullPolicy }}
  {{- if .manifestOnly }}
  args: ["--manifest-only"]
  {{- end }}
  env:
    - name: MODEL_STORE
      value: /model-store
    - name: MODEL_NAME
      value: {{ $values.model.name | quote }}
    - name: MODEL_KEY
      value: {{ include "tensorflow-model.model.servedKey" .root | quote }}
    - name: MODEL_VERSION
      value: {{ include "tensorflow-model.model.version" .root | quote }}
    - name: TARGET
      value: /models
    - name: TIMEOUT_SECONDS
      value: {{ include "tensorflow-model.number" $values.loader.timeoutSeconds | quote }}
    - name: VERIFY
      value: {{ $values.modelStore.verify.enabled | toString | quote }}
    {{- if not .manifestOnly }}
    {{- with $values.server.config.versions }}
    {{- $versions := list }}
    {{- range . }}
    {{- $versions = append $versions (include "tensorflow-model.wholeNumber" .) }}
    {{- end }}
    - name: FURTHER_VERSIONS
      value: {{ $versions | join "," | quote }}
    {{- end }}
    {{- if $values.server.tls.secretName }}
    - name: TLS_DIR
      value: /tls
    - name: SSL_CONFIG
      value: /ssl-config/ssl_config.txt
    - name: CLIENT_VERIFY
      value: {{ $values.server.tls.clientVerify | toString | quote }}
    {{- end }}
    {{- end }}
  {{- with $values.loader.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.loader.securityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  volumeMounts:
    - name: model-store
      mountPath: /model-store
      readOnly: true
    - name: models
      mountPath: /models
    {{- if and $values.server.tls.secretName (not .manifestOnly) }}
    - name: tls
      mountPath: /tls
      readOnly: true
    - name: ssl-config
      mountPath: /ssl-config
    {{- end }}
{{- end }}
