# Objects are made, read in every output, changed in every way, and deleted.
$ kubectl create configmap one --from-literal=color=blue --from-literal=size=large
configmap/one created
$ kubectl create configmap one --from-literal=color=blue
error: failed to create configmap: configmaps "one" already exists
[exit code 1]
$ kubectl create secret generic hidden --from-literal=key=value
secret/hidden created
$ kubectl create serviceaccount robot
serviceaccount/robot created
$ kubectl create -f settings.yaml
configmap/settings created
$ kubectl create -f wrong.yaml
The Deployment "Wrong_Name" is invalid:
* metadata.name: Invalid value: "Wrong_Name": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
* spec.replicas: Invalid value: -1: must be greater than or equal to 0
* spec.template.metadata.labels: Invalid value: {"app":"other"}: `selector` does not match template `labels`
* spec.template.spec.containers: Required value
[exit code 1]
$ kubectl create -f unknown.yaml
Error from server (BadRequest): error when creating "unknown.yaml": ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "colour"
[exit code 1]
$ kubectl create -f unknown.yaml --validate=false
configmap/unknown created
$ kubectl create configmap dry --from-literal=a=b --dry-run=server
configmap/dry created (server dry run)
$ kubectl get configmap dry
Error from server (NotFound): configmaps "dry" not found
[exit code 1]
$ kubectl create configmap dry --from-literal=a=b --dry-run=client -o yaml
apiVersion: v1
data:
  a: b
kind: ConfigMap
metadata:
  name: dry
$ kubectl get configmaps
NAME  DATA  AGE
kube-root-ca.crt  1  [age]
one  2  [age]
settings  2  [age]
unknown  0  [age]
$ kubectl get configmaps -l app=shop --show-labels
NAME  DATA  AGE  LABELS
settings  2  [age]  app=shop
$ kubectl get configmaps -l 'app notin (shop)' --no-headers
kube-root-ca.crt  1  [age]
one  2  [age]
unknown  0  [age]
$ kubectl get configmaps --field-selector metadata.name=one
NAME  DATA  AGE
one  2  [age]
$ kubectl get configmaps -l 'app in shop'
Error from server (BadRequest): Unable to find "/v1, Resource=configmaps" that match label selector "app in shop", field selector "": unable to parse requirement: found 'shop' expected: '('
[exit code 1]
$ kubectl get configmap one -o wide
NAME  DATA  AGE
one  2  [age]
$ kubectl get configmap one -o yaml
apiVersion: v1
data:
  color: blue
  size: large
kind: ConfigMap
metadata:
  creationTimestamp: "[time]"
  name: one
  namespace: objects
  resourceVersion: [version]
  uid: [uid 1]
$ kubectl get configmap one -o json
{
    "apiVersion": "v1",
    "data": {
        "color": "blue",
        "size": "large"
    },
    "kind": "ConfigMap",
    "metadata": {
        "creationTimestamp": "[time]",
        "name": "one",
        "namespace": "objects",
        "resourceVersion": [version]
        "uid": "[uid 1]"
    }
}
$ kubectl get configmap one -o name
configmap/one
$ kubectl get configmap one -o jsonpath='{.data.color}{"\n"}'
blue
$ kubectl get configmap one -o go-template='{{range $key, $value := .data}}{{$key}}={{$value}} {{end}}{{"\n"}}'
color=blue size=large
$ kubectl get configmap one -o custom-columns=NAME:.metadata.name,COLOR:.data.color,NONE:.data.none
NAME  COLOR  NONE
one  blue  <none>
$ kubectl get configmap one --show-managed-fields -o jsonpath='{.metadata.managedFields[*].manager}{"\n"}'
kubectl-create
$ kubectl get secret hidden -o yaml
apiVersion: v1
data:
  key: dmFsdWU=
kind: Secret
metadata:
  creationTimestamp: "[time]"
  name: hidden
  namespace: objects
  resourceVersion: [version]
  uid: [uid 2]
type: Opaque
$ kubectl get configmap/one secret/hidden serviceaccount/robot
NAME  DATA  AGE
configmap/one  2  [age]

NAME  TYPE  DATA  AGE
secret/hidden  Opaque  1  [age]

NAME  AGE
serviceaccount/robot  [age]
$ kubectl get configmaps --sort-by=.data.size -o name
configmap/unknown
configmap/kube-root-ca.crt
configmap/one
configmap/settings
$ kubectl get configmaps --chunk-size=1 -o name
configmap/kube-root-ca.crt
configmap/one
configmap/settings
configmap/unknown
$ kubectl describe configmap one
Name:  one
Namespace:  objects
Labels:  <none>
Annotations:  <none>

Data
====
color:
----
blue

size:
----
large


BinaryData
====

Events:  <none>
$ kubectl describe secret hidden
Name:  hidden
Namespace:  objects
Labels:  <none>
Annotations:  <none>

Type:  Opaque

Data
====
key:  5 bytes
$ kubectl describe serviceaccount robot
Name:  robot
Namespace:  objects
Labels:  <none>
Annotations:  <none>
Image pull secrets:  <none>
Events:  <none>
$ kubectl label configmap one app=one
configmap/one labeled
$ kubectl label configmap one app=two
error: 'app' already has a value (one), and --overwrite is false
[exit code 1]
$ kubectl label configmap one app=two --overwrite
configmap/one labeled
$ kubectl label configmap one app-
configmap/one unlabeled
$ kubectl label configmap one 'not valid=x'
The ConfigMap "one" is invalid: metadata.labels: Invalid value: "not valid": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
[exit code 1]
$ kubectl annotate configmap one note='first words'
configmap/one annotated
$ kubectl annotate configmap one note='other words' --overwrite
configmap/one annotated
$ kubectl annotate configmap one note-
configmap/one annotated
$ kubectl patch configmap one --type=merge -p '{"data":{"color":"red","size":null}}'
configmap/one patched
$ kubectl patch configmap one --type=merge -p '{"data":{"color":"red"}}'
configmap/one patched (no change)
$ kubectl patch configmap one --type=json -p '[{"op":"add","path":"/data/more","value":"1"},{"op":"test","path":"/data/color","value":"red"}]'
configmap/one patched
$ kubectl patch configmap one --type=json -p '[{"op":"test","path":"/data/color","value":"blue"}]'
The request is invalid: the server rejected our request due to an error in our request
[exit code 1]
$ kubectl patch configmap one --type=json -p '[{"op":"remove","path":"/data/none"}]'
The request is invalid: the server rejected our request due to an error in our request
[exit code 1]
$ kubectl patch configmap one --type=strategic -p '{"metadata":{"labels":{"app":"one"}}}'
configmap/one patched
$ kubectl patch configmap one -p '{"data":{"color":1}}'
The request is invalid: patch: Invalid value: "map[data:map[color:1]]": cannot convert int64 to string
[exit code 1]
$ kubectl patch configmap one -p 'nonsense'
Error from server (BadRequest): json: cannot unmarshal string into Go value of type map[string]interface {}
[exit code 1]
$ kubectl get configmap one -o jsonpath='{.data}{" "}{.metadata.labels}{"\n"}'
{"color":"red","more":"1"} {"app":"one"}
$ kubectl replace -f settings-changed.yaml
configmap/settings replaced
$ kubectl get configmap settings -o jsonpath='{.data}{"\n"}'
{"color":"green"}
$ KUBE_EDITOR='sed -i s/green/yellow/' kubectl edit configmap settings
configmap/settings edited
$ KUBE_EDITOR=true kubectl edit configmap settings
Edit cancelled, no changes made.
$ kubectl get configmap settings -o jsonpath='{.data}{"\n"}'
{"color":"yellow"}
$ kubectl delete configmap one settings
configmap "one" deleted from objects namespace
configmap "settings" deleted from objects namespace
$ kubectl delete configmap one
Error from server (NotFound): configmaps "one" not found
[exit code 1]
$ kubectl delete configmap one --ignore-not-found
$ kubectl delete configmaps -l app=none
No resources found
$ kubectl delete secret hidden --wait=false
secret "hidden" deleted from objects namespace
$ kubectl get configmaps,secrets -o name
configmap/kube-root-ca.crt
configmap/unknown
