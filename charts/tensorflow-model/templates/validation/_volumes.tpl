{{/*
Volumes, mounts and containers of the user's that collide with the chart's or each other, one sentence a line. Takes dict
"root" and "component".
*/}}
{{- define "tensorflow-model.validation.volumes" -}}
{{- $name := .component }}
{{- $values := index .root.Values $name }}
{{- $own := list "model-store" "workspace" "check" "files" "code" "data" "ca-bundle" "s3-ca-bundle" "s3-token" "output" "candidate" "own-tmp" "server-tmp" "tmp" "models" "model-image" "tls" "ssl-config" "server-tls" }}
{{- $paths := dict
  "training" (list "/check" "/config" "/code" "/data" "/workspace" "/output")
  "server" (list "/models" "/etc/tensorflow-serving" "/ssl-config" "/check" "/candidate")
  "api" (list "/server-tls")
  "tensorboard" (list "/workspaces")
}}
{{- $paths = concat (list "/" "/tmp") (get $paths $name) }}
{{- $isTls := not (empty .root.Values.server.tls.secretName) }}
{{- $data := include "tensorflow-model.training.data" .root | fromJson }}
{{- /* Inside these nothing can be mounted: there is no folder to mount it on, and none can be made. */}}
{{- $closed := get (dict
  "training" (concat (list "/check") (ternary (list "/code") list (not (empty $values.code))) (ternary (list "/data") list (not (empty (coalesce $data.existingClaim $data.uri)))))
  "server" (concat (list "/models" "/etc/tensorflow-serving" "/check" "/candidate") (ternary (list "/ssl-config") list $isTls))
  "api" (ternary (list "/server-tls") list $isTls)
  "tensorboard" (list "/workspaces")
) $name }}
{{- $volumes := list "tmp" }}
{{- range $values.extraVolumes }}
{{- if has .name $own }}
{{ $name }}.extraVolumes has {{ .name }}, a name of the chart's own volumes: call it otherwise
{{- else if has .name $volumes }}
{{ $name }}.extraVolumes has {{ .name }} twice: give each volume its own name
{{- end }}
{{- $volumes = append $volumes .name }}
{{- end }}
{{- $seen := list }}
{{- range $values.extraVolumeMounts }}
{{- $path := printf "/%s" .mountPath | clean }}
{{- $around := "" }}
{{- range $closed }}
{{- if hasPrefix (printf "%s/" .) $path }}
{{- $around = . }}
{{- end }}
{{- end }}
{{- if contains ":" .mountPath }}
{{ $name }}.extraVolumeMounts mounts {{ .name }} at {{ .mountPath }} but a path of a mount has no ":": mount it elsewhere
{{- else if $around }}
{{ $name }}.extraVolumeMounts mounts {{ .name }} at {{ $path }}, inside {{ $around }}, which the chart mounts to be read alone: mount it elsewhere
{{- else if has $path $paths }}
{{ $name }}.extraVolumeMounts mounts {{ .name }} at {{ $path }}, where the chart has files of its own: mount it elsewhere
{{- else if has $path $seen }}
{{ $name }}.extraVolumeMounts mounts two volumes at {{ $path }}: give each a path of its own
{{- end }}
{{- if not (has .name $volumes) }}
{{ $name }}.extraVolumeMounts mounts {{ .name }}, which is no volume of {{ $name }}.extraVolumes: add it there, or correct the name
{{- end }}
{{- $seen = append $seen $path }}
{{- end }}
{{- $ports := get (dict "training" dict "server" (dict "grpc" 8500 "rest" 8501) "api" (dict "http" 8080) "tensorboard" (dict "http" 6006)) $name }}
{{- $numbers := list }}
{{- range $ports }}
{{- $numbers = append $numbers . }}
{{- end }}
{{- /* The server looks at what was trained in the training pod, with its volumes. */}}
{{- $borrowed := list }}
{{- if and (eq $name "training") $values.blessing.enabled }}
{{- range .root.Values.server.extraVolumes }}
{{- $borrowed = append $borrowed .name }}
{{- end }}
{{- end }}
{{- $containers := get (dict "training" (list "check" "training" "server" "publisher") "server" (list "loader" "follower" "server") "api" (list "api") "tensorboard" (list "tensorboard")) $name }}
{{- range $key := list "extraInitContainers" "extraContainers" }}
{{- range index $values $key }}
{{- if has .name $containers }}
{{ $name }}.{{ $key }} has a container {{ .name }}, and the pod has one of that name already: call it otherwise
{{- end }}
{{- $containers = append $containers .name }}
{{- $container := .name }}
{{- range .volumeMounts }}
{{- if not (has .name (concat $own $volumes $borrowed)) }}
{{ $name }}.{{ $key }} has a container {{ $container }} that mounts {{ .name }}, which is no volume of {{ $name }}.extraVolumes: add it there, or correct the name
{{- end }}
{{- end }}
{{- range .ports }}
{{- if or (has (int .containerPort) $numbers) (hasKey $ports (default "" .name)) }}
{{ $name }}.{{ $key }} has a container {{ $container }} with the port {{ int .containerPort }}{{ with .name }} ({{ . }}){{ end }}, and {{ $name }} has {{ include "tensorflow-model.validation.portWords" $ports }}: take another one
{{- end }}
{{- end }}
{{- if and (eq $key "extraInitContainers") (ne .restartPolicy "Always") (or .livenessProbe .readinessProbe .startupProbe) }}
{{ $name }}.{{ $key }} has a container {{ $container }} with a probe, which is for containers that stay: add restartPolicy: Always, or leave the probe out
{{- end }}
{{- end }}
{{- end }}
{{- $variables := list }}
{{- range $values.extraEnv }}
{{- if has .name $variables }}
{{ $name }}.extraEnv has {{ .name }} twice: leave one of them out
{{- end }}
{{- $variables = append $variables .name }}
{{- end }}
{{- if and (eq $values.dnsPolicy "None") (not (get $values.dnsConfig "nameservers")) }}
{{ $name }}.dnsPolicy is None but {{ $name }}.dnsConfig.nameservers is empty, so that no name could be looked up: name a server, or leave dnsPolicy out
{{- end }}
{{- end }}

{{/* Ports by name and number, in words. Takes a map of them. */}}
{{- define "tensorflow-model.validation.portWords" -}}
{{- $words := list }}
{{- range $name, $number := . }}
{{- $words = append $words (printf "%v (%s)" $number $name) }}
{{- end }}
{{- $words | join " and " }}
{{- end }}

{{/* Volumes of training and server that meet in the training pod, where the server blesses. Takes the root context. */}}
{{- define "tensorflow-model.validation.sharedVolumes" -}}
{{- $training := .Values.training }}
{{- if and $training.enabled $training.blessing.enabled }}
{{- $names := list }}
{{- range $training.extraVolumes }}
{{- $names = append $names .name }}
{{- end }}
{{- range .Values.server.extraVolumes }}
{{- if has .name $names }}
training.extraVolumes and server.extraVolumes both have {{ .name }}, and both are in the training pod, where the server looks at what was trained: call one of them otherwise
{{- end }}
{{- end }}
{{- end }}
{{- end }}
