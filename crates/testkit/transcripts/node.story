# The one node is cordoned, tainted and drained, with a budget in the way.
$ kubectl get nodes -o custom-columns=NAME:.metadata.name,UNSCHEDULABLE:.spec.unschedulable
NAME  UNSCHEDULABLE
simulated  <none>
$ kubectl create -f web.yaml
deployment.apps/web created
: kubectl rollout status deployment web --timeout=90s
$ kubectl cordon simulated
node/simulated cordoned
$ kubectl cordon simulated
node/simulated already cordoned
$ kubectl get node simulated --no-headers | awk '{print $2}'
Ready,SchedulingDisabled
$ kubectl get node simulated -o jsonpath='{.spec.unschedulable}{"\n"}'
true
$ kubectl uncordon simulated
node/simulated uncordoned
$ kubectl taint node simulated color=blue:NoSchedule
node/simulated tainted
$ kubectl taint node simulated color=red:NoSchedule
error: node simulated already has color taint(s) with same effect(s) and --overwrite is false
[exit code 1]
$ kubectl taint node simulated color=red:NoSchedule --overwrite
node/simulated modified
$ kubectl taint node simulated color-
node/simulated untainted
$ kubectl create -f budget.yaml
poddisruptionbudget.policy/web created
: until [ "$(kubectl get poddisruptionbudget web -o jsonpath='{.status.currentHealthy}')" = 2 ]; do sleep 0.2; done
$ kubectl get poddisruptionbudget web
NAME  MIN AVAILABLE  MAX UNAVAILABLE  ALLOWED DISRUPTIONS  AGE
web  2  N/A  0  [age]
$ kubectl drain simulated --pod-selector=app=web --timeout=10s 2>&1 | grep -E 'cordoned|Cannot evict' | sort -u
error when evicting pods/"web-[name]-[name]" -n "node" (will retry after 5s): Cannot evict pod as it would violate the pod's disruption budget.
error when evicting pods/"web-[name]-[name]" -n "node" (will retry after 5s): Cannot evict pod as it would violate the pod's disruption budget.
node/simulated cordoned
$ kubectl delete poddisruptionbudget web
poddisruptionbudget.policy "web" deleted from node namespace
$ kubectl drain simulated --pod-selector=app=web --timeout=90s 2>&1 | sort
evicting pod node/web-[name]-[name]
evicting pod node/web-[name]-[name]
node/simulated already cordoned
node/simulated drained
pod/web-[name]-[name] evicted
pod/web-[name]-[name] evicted
: until [ "$(kubectl get pods -o jsonpath='{.items[*].status.conditions[?(@.type=="PodScheduled")].reason}')" = "Unschedulable Unschedulable" ]; do sleep 0.2; done
$ kubectl get pods -o jsonpath='{.items[0].status.conditions[?(@.type=="PodScheduled")].message}{"\n"}'
0/1 nodes are available: 1 node(s) were unschedulable. no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.
$ kubectl uncordon simulated
node/simulated uncordoned
: kubectl rollout status deployment web --timeout=90s
$ kubectl delete -f web.yaml
deployment.apps "web" deleted from node namespace
