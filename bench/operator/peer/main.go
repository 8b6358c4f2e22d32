// The peer of `npm run bench:operator`: the least that a Go operator on controller-runtime has to be to do what Slipway's
// does with an object that is settled, and with a change of its size. It watches the same kinds by the same labels,
// keeps the same objects trimmed the same way, works with as many workers, elects a leader by the same times, compares
// what is wanted with what is there, and applies a difference. It has no rollouts, and so less to look at than ours.
package main

import (
	"context"
	"errors"
	"flag"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	ownerLabel    = "slipway.dev/model-deployment"
	revisionLabel = "slipway.dev/revision"
	fieldOwner    = "slipway-peer"
)

func main() {
	metricsAddress := flag.String("metrics", "127.0.0.1:0", "where metrics are served")
	healthAddress := flag.String("health", "127.0.0.1:0", "where health is served")
	namespace := flag.String("namespace", "default", "where the lease is")
	syncPeriod := flag.Duration("sync-period", 10*time.Minute, "how often every object is looked at though nothing happened")
	flag.Parse()
	ctrl.SetLogger(zap.New())
	if err := run(*metricsAddress, *healthAddress, *namespace, *syncPeriod); err != nil {
		log.Log.Error(err, "the peer ends")
		os.Exit(1)
	}
}

func run(metricsAddress, healthAddress, namespace string, syncPeriod time.Duration) error {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return err
	}
	addToScheme(scheme)
	managed := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{"app.kubernetes.io/managed-by": "slipway"})}
	config := ctrl.GetConfigOrDie()
	config.UserAgent = fieldOwner
	// As Slipway: no rate of its own, the API server's priority and fairness decides.
	config.QPS = -1
	uncopied := true
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                        scheme,
		Metrics:                       server.Options{BindAddress: metricsAddress},
		HealthProbeBindAddress:        healthAddress,
		LeaderElection:                true,
		LeaderElectionID:              fieldOwner,
		LeaderElectionNamespace:       namespace,
		LeaderElectionReleaseOnCancel: true,
		Cache: cache.Options{
			SyncPeriod:                   &syncPeriod,
			DefaultTransform:             cache.TransformStripManagedFields(),
			DefaultUnsafeDisableDeepCopy: &uncopied,
			ByObject: map[client.Object]cache.ByObject{
				&ModelRevision{}:             {Label: managed.Label, Transform: withDefaults},
				&appsv1.Deployment{}:         managed,
				&batchv1.Job{}:               managed,
				&corev1.Service{}:            managed,
				&discoveryv1.EndpointSlice{}: managed,
			},
		},
	})
	if err != nil {
		return err
	}
	owner := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, child client.Object) []reconcile.Request {
		name := child.GetLabels()[ownerLabel]
		if name == "" {
			return nil
		}
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: child.GetNamespace(), Name: name}}}
	})
	err = ctrl.NewControllerManagedBy(mgr).
		Named("modeldeployment").
		For(&ModelDeployment{}).
		Watches(&ModelRevision{}, owner).
		Watches(&appsv1.Deployment{}, owner).
		Watches(&batchv1.Job{}, owner).
		Watches(&corev1.Service{}, owner).
		Watches(&discoveryv1.EndpointSlice{}, owner).
		WithOptions(controller.Options{MaxConcurrentReconciles: 10}).
		Complete(&reconciler{client: mgr.GetClient()})
	if err != nil {
		return err
	}
	ctx := ctrl.SetupSignalHandler()
	// A standby has its caches filled before it leads, as Slipway's has.
	for _, kind := range []client.Object{
		&ModelDeployment{}, &ModelRevision{}, &appsv1.Deployment{}, &batchv1.Job{}, &corev1.Service{}, &discoveryv1.EndpointSlice{},
	} {
		if _, err := mgr.GetCache().GetInformer(ctx, kind, cache.BlockUntilSynced(false)); err != nil {
			return err
		}
	}
	var synced atomic.Bool
	if err := mgr.Add(everywhere{func(ctx context.Context) error {
		synced.Store(mgr.GetCache().WaitForCacheSync(ctx))
		return nil
	}}); err != nil {
		return err
	}
	if err := mgr.AddReadyzCheck("synced", func(*http.Request) error {
		if synced.Load() {
			return nil
		}
		return errors.New("not listed yet")
	}); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

// The API server fills in what a probe leaves open; without it here every Deployment would differ, and be written, always.
func withDefaults(object any) (any, error) {
	revision, ok := object.(*ModelRevision)
	if !ok {
		return object, nil
	}
	revision.SetManagedFields(nil)
	for _, container := range revision.Spec.PodTemplate.Spec.Containers {
		for _, probe := range []*corev1.Probe{container.LivenessProbe, container.ReadinessProbe, container.StartupProbe} {
			if probe == nil {
				continue
			}
			probe.SuccessThreshold = max(probe.SuccessThreshold, 1)
			probe.TimeoutSeconds = max(probe.TimeoutSeconds, 1)
		}
	}
	return object, nil
}

// Runs on standby replicas too.
type everywhere struct {
	start func(context.Context) error
}

func (e everywhere) Start(ctx context.Context) error { return e.start(ctx) }
func (e everywhere) NeedLeaderElection() bool        { return false }

var _ manager.LeaderElectionRunnable = everywhere{}

type reconciler struct {
	client client.Client
}

func (r *reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	var model ModelDeployment
	if err := r.client.Get(ctx, request.NamespacedName, &model); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if model.Status.Stable == nil {
		return reconcile.Result{}, nil
	}
	var revision ModelRevision
	name := types.NamespacedName{Namespace: model.Namespace, Name: model.Status.Stable.Revision}
	if err := r.client.Get(ctx, name, &revision); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	// The status first, as ours does.
	if model.Status.ObservedGeneration != model.Generation {
		changed := model.DeepCopyObject().(*ModelDeployment)
		changed.Status.ObservedGeneration = model.Generation
		// A patch: the types here have not every field of the status, and a whole one would drop the others.
		return reconcile.Result{}, r.client.Status().Patch(ctx, changed, client.MergeFrom(&model))
	}
	deployment := desiredDeployment(&model, &revision)
	var live appsv1.Deployment
	if err := r.client.Get(ctx, client.ObjectKeyFromObject(deployment), &live); client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, err
	}
	if !isAsWanted(deployment, &live, deployment.Spec, live.Spec) {
		if err := r.apply(ctx, deployment); err != nil {
			return reconcile.Result{}, err
		}
	}
	service := desiredService(&model)
	var liveService corev1.Service
	if err := r.client.Get(ctx, client.ObjectKeyFromObject(service), &liveService); client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, err
	}
	if !isAsWanted(service, &liveService, service.Spec, liveService.Spec) {
		return reconcile.Result{}, r.apply(ctx, service)
	}
	return reconcile.Result{}, nil
}

func (r *reconciler) apply(ctx context.Context, object client.Object) error {
	//nolint:staticcheck // Patch with client.Apply takes typed objects; the newer Apply wants generated configurations.
	return r.client.Patch(ctx, object, client.Apply, client.FieldOwner(fieldOwner), client.ForceOwnership)
}

func isAsWanted(wanted, live client.Object, wantedSpec, liveSpec any) bool {
	return equality.Semantic.DeepDerivative(wanted.GetLabels(), live.GetLabels()) &&
		equality.Semantic.DeepDerivative(wanted.GetOwnerReferences(), live.GetOwnerReferences()) &&
		equality.Semantic.DeepDerivative(wantedSpec, liveSpec)
}

func childMeta(model *ModelDeployment, name string, more map[string]string) metav1.ObjectMeta {
	labels := map[string]string{
		"app.kubernetes.io/managed-by": "slipway",
		"app.kubernetes.io/name":       "slipway-runtime",
		ownerLabel:                     model.Name,
	}
	for key, value := range more {
		labels[key] = value
	}
	controls := true
	return metav1.ObjectMeta{
		Namespace: model.Namespace,
		Name:      name,
		Labels:    labels,
		OwnerReferences: []metav1.OwnerReference{{
			APIVersion: groupVersion.String(), Kind: "ModelDeployment", Name: model.Name, UID: model.UID, Controller: &controls,
		}},
	}
}

func desiredDeployment(model *ModelDeployment, revision *ModelRevision) *appsv1.Deployment {
	none := int32(0)
	return &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: childMeta(model, revision.Name, map[string]string{revisionLabel: revision.Name}),
		Spec: appsv1.DeploymentSpec{
			Replicas:             &model.Spec.Replicas,
			RevisionHistoryLimit: &none,
			Selector:             &metav1.LabelSelector{MatchLabels: selector(model, revision.Name)},
			Template:             revision.Spec.PodTemplate,
		},
	}
}

func desiredService(model *ModelDeployment) *corev1.Service {
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: childMeta(model, model.Name, nil),
		Spec:       corev1.ServiceSpec{Selector: selector(model, model.Status.Stable.Revision)},
	}
}

func selector(model *ModelDeployment, revision string) map[string]string {
	return map[string]string{ownerLabel: model.Name, revisionLabel: revision}
}
