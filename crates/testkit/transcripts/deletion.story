# Each propagation leaves what it should.
$ kubectl create -f web.yaml
deployment.apps/web created
: kubectl rollout status deployment web --timeout=90s
$ kubectl delete deployment web --cascade=orphan
deployment.apps "web" deleted from deletion namespace
$ kubectl get replicasets -o jsonpath='{.items[*].metadata.ownerReferences}{.items[*].spec.replicas}{"\n"}'
2
$ kubectl delete replicasets -l app=web --cascade=foreground
replicaset.apps "web-[name]" deleted from deletion namespace
$ kubectl get replicasets,pods -o name
$ kubectl create -f web.yaml
deployment.apps/web created
: kubectl rollout status deployment web --timeout=90s
$ kubectl delete deployment web --cascade=background
deployment.apps "web" deleted from deletion namespace
: until [ -z "$(kubectl get replicasets,pods -o name)" ]; do sleep 0.2; done
$ kubectl get replicasets,pods
No resources found in deletion namespace.
$ kubectl create -f pod.yaml
pod/one created
: kubectl wait pod one --for=condition=Ready --timeout=90s
$ kubectl patch pod one --type=merge -p '{"metadata":{"finalizers":["example.org/hold"]}}'
pod/one patched
$ kubectl delete pod one --wait=false
pod "one" deleted from deletion namespace
: kubectl wait pod one --for=jsonpath='{.metadata.deletionGracePeriodSeconds}'=0 --timeout=30s
$ kubectl get pod one -o jsonpath='{.metadata.finalizers}{"\n"}'
["example.org/hold"]
$ kubectl patch pod one --type=merge -p '{"metadata":{"finalizers":null}}'
pod/one patched
: kubectl wait pod one --for=delete --timeout=60s
$ kubectl get pod one
Error from server (NotFound): pods "one" not found
[exit code 1]
$ kubectl create namespace deletion-inner
namespace/deletion-inner created
: until kubectl get serviceaccount default --namespace deletion-inner >/dev/null 2>&1; do sleep 0.2; done
$ kubectl create configmap one --namespace deletion-inner
configmap/one created
$ kubectl delete namespace deletion-inner --timeout=90s
namespace "deletion-inner" deleted
$ kubectl get namespace deletion-inner
Error from server (NotFound): namespaces "deletion-inner" not found
[exit code 1]
