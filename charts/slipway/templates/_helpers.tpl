{{/* Name of everything that belongs to this release: "slipway" for a release of that name, else "<release>-slipway". */}}
{{- define "slipway.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels of every object. */}}
{{- define "slipway.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* What selects the operator's pods; never changes, since a Deployment's selector cannot. */}}
{{- define "slipway.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "slipway.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (printf "%s-operator" (include "slipway.name" .)) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{/* An image by digest or tag. Takes (dict "image" <values> "root" $). */}}
{{- define "slipway.image" -}}
{{- $repository := .image.repository -}}
{{- with .image.registry | default .root.Values.imageRegistry -}}
{{- $repository = printf "%s/%s" . $repository -}}
{{- end -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* What the operator puts into the routers' pods as it is, as JSON. */}}
{{- define "slipway.routerPlacement" -}}
{{- pick .Values.router "imagePullSecrets" "nodeSelector" "tolerations" "affinity" "priorityClassName" | toJson -}}
{{- end -}}

{{/* What the operator makes the NetworkPolicies of namespaces with routers from, as JSON; empty for none. */}}
{{- define "slipway.networkRules" -}}
{{- if .Values.networkPolicy.enabled -}}
{{- $rules := pick .Values.networkPolicy "usersFrom" "metricsFrom" "direct" "apiServerPorts" -}}
{{- $labels := include "slipway.selector" . | fromYaml -}}
{{- merge (dict "operatorNamespace" .Release.Namespace "operatorLabels" $labels) $rules | toJson -}}
{{- end -}}
{{- end -}}

{{/* Restricted Pod Security, for a container. */}}
{{- define "slipway.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Restricted Pod Security, for a pod. */}}
{{- define "slipway.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/*
What the operator does in a namespace that it watches, verb by verb: every call that it makes, and no other. Secrets
are not among them. Server-side apply is patch, and create where the object is new.
*/}}
{{- define "slipway.operatorRules" -}}
# The users' object is read; only its status is written.
- apiGroups: [slipway.dev]
  resources: [modeldeployments]
  verbs: [get, list, watch]
- apiGroups: [slipway.dev]
  resources: [modeldeployments/status]
  verbs: [update]
# Clusters with the OwnerReferencesPermissionEnforcement plugin ask for this before a child may name its owner.
- apiGroups: [slipway.dev]
  resources: [modeldeployments/finalizers]
  verbs: [update]
- apiGroups: [slipway.dev]
  resources: [modelrevisions]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
# Deleted is only the Service of a revision, by which the routers find its pods.
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
# The routes of mode Gateway, where the cluster has the Gateway API. A Gateway is looked up and never changed.
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes, grpcroutes]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways]
  verbs: [get]
# Which pods answer. Of get only the routers make use.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
# What routers need: an account that may look at ModelDeployments and EndpointSlices. Nobody can give a right that he
# does not have, so this gives nobody anything that is not listed here. They go with the Deployment that owns them.
# Each is one object of a namespace, and always of the same name: of others nothing is seen either.
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [create]
- apiGroups: [""]
  resources: [serviceaccounts]
  resourceNames: [slipway-router]
  verbs: [get, list, watch, patch]
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  verbs: [create]
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  resourceNames: [slipway-router]
  verbs: [get, list, watch, patch]
# Who may reach the routers and the pods of models, where networkPolicy.enabled says so; taken away where it says so no more.
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  resourceNames: [slipway-router, slipway-runtime]
  verbs: [patch, delete]
# Those of the routers, and of every ModelDeployment with more than one pod: a drained node takes one at a time.
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch]
# Why a pod does not start, what a resolve Job found, and which image digest it ran.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list]
# A pod on a node that is lost is taken out of its Services: its condition Ready becomes False, as the control plane itself
# does some forty seconds later.
- apiGroups: [""]
  resources: [pods/status]
  verbs: [update]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
# Whether a quota leaves room for pods, before the first is made.
- apiGroups: [""]
  resources: [resourcequotas]
  verbs: [list]
{{- end -}}

{{/* Where helm test works: the release's namespace if the operator watches it, else the first that it watches. */}}
{{- define "slipway.testNamespace" -}}
{{- if or (empty .Values.watchNamespaces) (has .Release.Namespace .Values.watchNamespaces) -}}
{{- .Release.Namespace -}}
{{- else -}}
{{- first .Values.watchNamespaces -}}
{{- end -}}
{{- end -}}

{{/* A ModelDeployment's name has at most 40 characters. */}}
{{- define "slipway.testName" -}}
{{- printf "%s-test" (include "slipway.name" . | trunc 35 | trimSuffix "-") -}}
{{- end -}}

{{/* Annotations of an object that exists only while helm test runs, or stays for a look when it fails. */}}
{{- define "slipway.testHook" -}}
helm.sh/hook: test
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}
