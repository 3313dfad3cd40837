# A pod as kubectl shows it.
$ kubectl create -f pod.yaml
pod/one created
: kubectl wait pod one --for=condition=Ready --timeout=90s
$ kubectl get pod one
NAME  READY  STATUS  RESTARTS  AGE
one  1/1  Running  0  [age]
$ kubectl get pods -l app=one -o name
pod/one
$ kubectl get pods --field-selector status.phase=Running -o name
pod/one
$ kubectl get pods --field-selector status.phase=Failed
No resources found in pod namespace.
$ kubectl describe pod one | sed -n '/^Containers/,/^Events/p' | grep -v -E 'Started:|kube-api-access|Container ID|Image ID'
Containers:
  main:
    Image:  example.org/one:1
    Port:  8080/TCP
    Host Port:  0/TCP
    Command:
      serve
      --port=8080
    State:  Running
    Ready:  True
    Restart Count:  0
    Environment:
      COLOR:  blue
    Mounts:
Conditions:
  Type  Status
  PodReadyToStartContainers  True
  Initialized  True
  Ready  True
  ContainersReady  True
  PodScheduled  True
Volumes:
    Type:  Projected (a volume that contains injected data from multiple sources)
    TokenExpirationSeconds:  3607
    ConfigMapName:  kube-root-ca.crt
    Optional:  false
    DownwardAPI:  true
QoS Class:  BestEffort
Node-Selectors:  <none>
Tolerations:  node.kubernetes.io/not-ready:NoExecute op=Exists for [age]
                             node.kubernetes.io/unreachable:NoExecute op=Exists for [age]
Events:
$ kubectl get pod one -o jsonpath='{.spec.serviceAccountName} {.spec.restartPolicy} {.spec.dnsPolicy} {.spec.tolerations[*].key} {.status.qosClass}{"\n"}'
default Always ClusterFirst node.kubernetes.io/not-ready node.kubernetes.io/unreachable BestEffort
$ kubectl logs one -c other
error: container other is not valid for pod one out of: main
[exit code 1]
$ kubectl patch pod one -p '{"spec":{"terminationGracePeriodSeconds":5}}' 2>&1 | head -n 1
The Pod "one" is invalid: spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)
$ kubectl set image pod/one main=example.org/one:2
pod/one image updated
$ kubectl run two --image=example.org/two:1 --labels=app=two --restart=Never
pod/two created
: kubectl wait pod two --for=condition=Ready --timeout=90s
: until kubectl get events --field-selector involvedObject.name=two,reason=Scheduled -o name | grep -q .; do sleep 0.2; done
$ kubectl get events --field-selector involvedObject.name=two,reason=Scheduled -o custom-columns=TYPE:.type,REASON:.reason,MESSAGE:.message
TYPE  REASON  MESSAGE
Normal  Scheduled  Successfully assigned pod/two to simulated
$ kubectl events --for pod/two --types=Warning
No events found in pod namespace.
$ kubectl delete pod two --grace-period=0 --force
Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource may continue to run on the cluster indefinitely.
pod "two" force deleted from pod namespace
$ kubectl delete pod one --now
pod "one" deleted from pod namespace
$ kubectl get pods
No resources found in pod namespace.
