package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// A check exercises the API the way ordinary Go programs do.
type check struct {
	name string
	run  func(context.Context, *checkTarget) error
}

// What the checks run against: a namespace of their own in some cluster.
type checkTarget struct {
	config    *rest.Config
	typed     kubernetes.Interface
	namespace string
	// Config maps that an informer lists before it watches.
	objects int
}

// Informers read their feature gate once per process, so each flavour is a
// process of its own: the gate is set and the program calls itself.
const watchListGate = "KUBE_FEATURE_WatchListClient"

var checks = []check{
	{"informers-watch-list", func(ctx context.Context, t *checkTarget) error { return informersFollow(ctx, t) }},
	{"informers-classic", func(ctx context.Context, t *checkTarget) error { return informersFollow(ctx, t) }},
	{"dynamic-client", dynamicClientWorks},
	{"leader-election", leaderElectionHandsOver},
}

// clientCheck runs every check, each in a process of its own, and answers the
// exit code. The name of each failed check is the last word of its line.
func clientCheck(arguments []string) int {
	flags := flag.NewFlagSet("client-check", flag.ContinueOnError)
	kubeconfig := flags.String("kubeconfig", os.Getenv("KUBECONFIG"), "cluster to check")
	only := flags.String("only", "", "run this check alone, in this process")
	limit := flags.Duration("timeout", time.Minute, "how long one check may take")
	objects := flags.Int("objects", 50, "config maps an informer lists")
	if err := flags.Parse(arguments); err != nil {
		return 2
	}
	if *only != "" {
		return runOne(*only, *kubeconfig, *limit, *objects)
	}
	failed := 0
	for _, c := range checks {
		command := exec.Command("/proc/self/exe", "--kubeconfig", *kubeconfig, "--only", c.name,
			"--timeout", limit.String(), "--objects", fmt.Sprint(*objects))
		command.Args[0] = "client-check"
		gate := fmt.Sprintf("%s=%t", watchListGate, c.name != "informers-classic")
		command.Env = append(os.Environ(), gate)
		command.Stderr = os.Stderr
		if err := command.Run(); err != nil {
			failed++
			fmt.Println("failed", c.name)
			continue
		}
		fmt.Println("passed", c.name)
	}
	if failed > 0 {
		return 1
	}
	return 0
}

func runOne(name, kubeconfig string, limit time.Duration, objects int) int {
	for _, c := range checks {
		if c.name != name {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		if err := withNamespace(ctx, kubeconfig, objects, c.run); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
			return 1
		}
		return 0
	}
	fmt.Fprintf(os.Stderr, "client-check: there is no check %q\n", name)
	return 2
}

func withNamespace(ctx context.Context, kubeconfig string, objects int, run func(context.Context, *checkTarget) error) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 200, 400
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "client-check-"}}
	// A cut connection hides whether a request was carried out, so it is
	// retried; a namespace too many does no harm here.
	var created *corev1.Namespace
	err = insist(ctx, func() error {
		created, err = typed.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
		return err
	})
	if err != nil {
		return fmt.Errorf("create namespace: %w", err)
	}
	target := &checkTarget{config: config, typed: typed, namespace: created.Name, objects: objects}
	outcome := run(ctx, target)
	removal := insist(ctx, func() error {
		return typed.CoreV1().Namespaces().Delete(ctx, created.Name, metav1.DeleteOptions{})
	})
	return errors.Join(outcome, removal)
}

// insist repeats an operation until it succeeds or the time is up, as every
// controller does.
func insist(ctx context.Context, operation func() error) error {
	var last error
	err := wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(context.Context) (bool, error) {
		last = operation()
		return last == nil, nil
	})
	if err != nil {
		return errors.Join(err, last)
	}
	return nil
}

// informersFollow shows that a shared informer lists what is there, then sees
// an addition, a change and a removal.
func informersFollow(ctx context.Context, t *checkTarget) error {
	maps := t.typed.CoreV1().ConfigMaps(t.namespace)
	for i := range t.objects {
		name := fmt.Sprintf("before-%03d", i)
		if err := insistCreate(ctx, t, name); err != nil {
			return err
		}
	}
	factory := informers.NewSharedInformerFactoryWithOptions(t.typed, 0, informers.WithNamespace(t.namespace))
	informer := factory.Core().V1().ConfigMaps()
	shared := informer.Informer()
	factory.StartWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), shared.HasSynced) {
		return errors.New("the informer never synchronised")
	}
	lister := informer.Lister().ConfigMaps(t.namespace)
	for i := range t.objects {
		if _, err := lister.Get(fmt.Sprintf("before-%03d", i)); err != nil {
			return fmt.Errorf("after synchronisation: %w", err)
		}
	}
	if err := insistCreate(ctx, t, "later"); err != nil {
		return err
	}
	seen := func(what string, condition func(*corev1.ConfigMap) bool) error {
		err := wait.PollUntilContextCancel(ctx, 10*time.Millisecond, true, func(context.Context) (bool, error) {
			object, err := lister.Get("later")
			if err != nil {
				object = nil
			}
			return condition(object), nil
		})
		if err != nil {
			return fmt.Errorf("the informer did not see the %s: %w", what, err)
		}
		return nil
	}
	if err := seen("addition", func(o *corev1.ConfigMap) bool { return o != nil }); err != nil {
		return err
	}
	patch := []byte(`{"data":{"key":"changed"}}`)
	err := insist(ctx, func() error {
		_, err := maps.Patch(ctx, "later", types.MergePatchType, patch, metav1.PatchOptions{})
		return err
	})
	if err != nil {
		return fmt.Errorf("patch: %w", err)
	}
	if err := seen("change", func(o *corev1.ConfigMap) bool { return o != nil && o.Data["key"] == "changed" }); err != nil {
		return err
	}
	if err := insistDelete(ctx, t, "later"); err != nil {
		return err
	}
	return seen("removal", func(o *corev1.ConfigMap) bool { return o == nil })
}

// dynamicClientWorks shows the same objects without types, and server-side
// apply through them.
func dynamicClientWorks(ctx context.Context, t *checkTarget) error {
	client, err := dynamic.NewForConfig(t.config)
	if err != nil {
		return err
	}
	maps := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace(t.namespace)
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1",
		"kind":       "ConfigMap",
		"metadata":   map[string]any{"name": "applied"},
		"data":       map[string]any{"key": "value"},
	}}
	for range 2 {
		err = insist(ctx, func() error {
			_, err := maps.Apply(ctx, "applied", object, metav1.ApplyOptions{FieldManager: "client-check"})
			return err
		})
		if err != nil {
			return fmt.Errorf("apply: %w", err)
		}
	}
	var list *unstructured.UnstructuredList
	err = insist(ctx, func() error {
		list, err = maps.List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=applied"})
		return err
	})
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	if len(list.Items) != 1 {
		return fmt.Errorf("list by field selector answered %d objects, not 1", len(list.Items))
	}
	value, _, err := unstructured.NestedString(list.Items[0].Object, "data", "key")
	if err != nil || value != "value" {
		return fmt.Errorf("the applied value came back as %q (%v)", value, err)
	}
	managers := list.Items[0].GetManagedFields()
	if len(managers) != 1 || managers[0].Manager != "client-check" {
		return fmt.Errorf("managed fields name %d managers, not client-check alone", len(managers))
	}
	return insistDelete(ctx, t, "applied")
}

// leaderElectionHandsOver shows that one of two candidates leads, and that the
// other takes over when the first lets go.
func leaderElectionHandsOver(ctx context.Context, t *checkTarget) error {
	leading := make(chan string, 2)
	candidate := func(ctx context.Context, name string) error {
		lock, err := resourcelock.New(resourcelock.LeasesResourceLock, t.namespace, "leader",
			nil, t.typed.CoordinationV1(), resourcelock.ResourceLockConfig{Identity: name})
		if err != nil {
			return err
		}
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock:            lock,
			LeaseDuration:   4 * time.Second,
			RenewDeadline:   3 * time.Second,
			RetryPeriod:     200 * time.Millisecond,
			ReleaseOnCancel: true,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(context.Context) { leading <- name },
				OnStoppedLeading: func() {},
			},
		})
		if err != nil {
			return err
		}
		go elector.Run(ctx)
		return nil
	}
	firstContext, letGo := context.WithCancel(ctx)
	defer letGo()
	if err := candidate(firstContext, "first"); err != nil {
		return err
	}
	if err := leads(ctx, leading, "first"); err != nil {
		return err
	}
	if err := candidate(ctx, "second"); err != nil {
		return err
	}
	select {
	case name := <-leading:
		return fmt.Errorf("%q leads while first holds the lease", name)
	case <-time.After(time.Second):
	}
	letGo()
	return leads(ctx, leading, "second")
}

func leads(ctx context.Context, leading <-chan string, wanted string) error {
	select {
	case name := <-leading:
		if name != wanted {
			return fmt.Errorf("%q leads, not %q", name, wanted)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%q never led", wanted)
	}
}
