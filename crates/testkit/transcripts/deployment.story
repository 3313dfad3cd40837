# A Deployment is rolled out, changed, paused, undone, scaled and deleted.
$ kubectl create -f web.yaml
deployment.apps/web created
: kubectl rollout status deployment web --timeout=90s
$ kubectl rollout status deployment web | tail -n 1
deployment "web" successfully rolled out
$ kubectl get deployment web
NAME  READY  UP-TO-DATE  AVAILABLE  AGE
web  2/2  2  2  [age]
$ kubectl get deployment web -o wide
NAME  READY  UP-TO-DATE  AVAILABLE  AGE  CONTAINERS  IMAGES  SELECTOR
web  2/2  2  2  [age]  web  example.org/web:1  app=web
$ kubectl get replicasets -o wide
NAME  DESIRED  CURRENT  READY  AGE  CONTAINERS  IMAGES  SELECTOR
web-[name]  2  2  2  [age]  web  example.org/web:1  app=web,pod-template-hash=[name]
$ kubectl get pods --show-labels
NAME  READY  STATUS  RESTARTS  AGE  LABELS
web-[name]-[name]  1/1  Running  0  [age]  app=web,pod-template-hash=[name]
web-[name]-[name]  1/1  Running  0  [age]  app=web,pod-template-hash=[name]
$ kubectl get pods -o custom-columns=PHASE:.status.phase,READY:.status.containerStatuses[0].ready,IMAGE:.spec.containers[0].image,QOS:.status.qosClass --no-headers
Running  true  example.org/web:1  Burstable
Running  true  example.org/web:1  Burstable
$ kubectl expose deployment web --port=80 --target-port=http
service/web exposed
$ kubectl get service web
NAME  TYPE  CLUSTER-IP  EXTERNAL-IP  PORT(S)  AGE
web  ClusterIP  [address]  <none>  80/TCP  [age]
$ kubectl describe service web | grep -v -E '^(Endpoints|IP|IPs):'
Name:  web
Namespace:  deployment
Labels:  <none>
Annotations:  <none>
Selector:  app=web
Type:  ClusterIP
IP Family Policy:  SingleStack
IP Families:  IPv4
Port:  <unset>  80/TCP
TargetPort:  http/TCP
Session Affinity:  None
Internal Traffic Policy:  Cluster
Events:  <none>
: until [ "$(kubectl get endpointslices -l kubernetes.io/service-name=web -o jsonpath='{.items[*].endpoints[*].conditions.ready}')" = "true true" ]; do sleep 0.2; done
$ kubectl get endpointslices -l kubernetes.io/service-name=web -o jsonpath='{.items[0].ports}{"\n"}'
[{"name":"","port":8080,"protocol":"TCP"}]
$ kubectl scale deployment web --replicas=3
deployment.apps/web scaled
$ kubectl scale deployment web --replicas=4 --current-replicas=9
error: Expected replicas to be 9, was 3
[exit code 1]
: kubectl rollout status deployment web --timeout=90s
$ kubectl get deployment web -o jsonpath='{.status.replicas} {.status.readyReplicas} {.status.availableReplicas}{"\n"}'
3 3 3
$ kubectl set image deployment web web=example.org/web:2
deployment.apps/web image updated
: kubectl rollout status deployment web --timeout=90s
$ kubectl set env deployment web COLOR=blue
deployment.apps/web env updated
: kubectl rollout status deployment web --timeout=90s
$ kubectl set resources deployment web --limits=memory=32Mi
deployment.apps/web resource requirements updated
: kubectl rollout status deployment web --timeout=90s
$ kubectl rollout history deployment web
deployment.apps/web
REVISION  CHANGE-CAUSE
1  <none>
2  <none>
3  <none>
4  <none>

$ kubectl rollout history deployment web --revision=2
deployment.apps/web with revision #2
Pod Template:
  Labels:	app=web
	pod-template-hash=[name]
  Containers:
   web:
    Image:	example.org/web:2
    Port:	8080/TCP (http)
    Host Port:	0/TCP (http)
    Requests:
      cpu:	10m
      memory:	16Mi
    Environment:	<none>
    Mounts:	<none>
  Volumes:	<none>
  Node-Selectors:	<none>
  Tolerations:	<none>

$ kubectl rollout undo deployment web --to-revision=1
deployment.apps/web rolled back
: kubectl rollout status deployment web --timeout=90s
$ kubectl get deployment web -o jsonpath='{.spec.template.spec.containers[0].image}{"\n"}'
example.org/web:1
$ kubectl rollout undo deployment web --to-revision=99
error: unable to find specified revision 99 in history
[exit code 1]
$ kubectl rollout pause deployment web
deployment.apps/web paused
$ kubectl rollout pause deployment web
error: deployments.apps "web" is already paused
[exit code 1]
$ kubectl set image deployment web web=example.org/web:3
deployment.apps/web image updated
$ kubectl rollout restart deployment web
error: deployments.apps "web" can't restart paused deployment (run rollout resume first)
[exit code 1]
$ kubectl rollout resume deployment web
deployment.apps/web resumed
: kubectl rollout status deployment web --timeout=90s
$ kubectl rollout restart deployment web
deployment.apps/web restarted
: kubectl rollout status deployment web --timeout=90s
$ kubectl get deployment web -o jsonpath='{range .status.conditions[*]}{.type}{"="}{.status}{" "}{.reason}{"\n"}{end}'
Available=True MinimumReplicasAvailable
Progressing=True NewReplicaSetAvailable
$ kubectl describe deployment web | sed -n '/^Pod Template/,/^Conditions/p' | grep -v restartedAt
Pod Template:
  Labels:  app=web
  Containers:
   web:
    Image:  example.org/web:3
    Port:  8080/TCP (http)
    Host Port:  0/TCP (http)
    Requests:
      cpu:  [age]
      memory:  16Mi
    Environment:  <none>
    Mounts:  <none>
  Volumes:  <none>
  Node-Selectors:  <none>
  Tolerations:  <none>
Conditions:
$ kubectl wait deployment web --for=condition=Available --timeout=30s
deployment.apps/web condition met
$ kubectl wait deployment web --for=jsonpath='{.status.readyReplicas}'=3 --timeout=30s
deployment.apps/web condition met
$ kubectl wait deployment web --for=condition=Nothing --timeout=1s
error: timed out waiting for the condition on deployments/web
[exit code 1]
$ kubectl autoscale deployment web --min=1 --max=3 --cpu=50% --dry-run=client -o name
horizontalpodautoscaler.autoscaling/web
$ kubectl delete deployment web
deployment.apps "web" deleted from deployment namespace
$ kubectl get deployment web
Error from server (NotFound): deployments.apps "web" not found
[exit code 1]
