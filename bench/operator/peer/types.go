package main

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The fields that the benchmark's objects carry, as a typed operator would declare them. Go keeps nothing else in memory.

var groupVersion = schema.GroupVersion{Group: "slipway.dev", Version: "v1alpha1"}

type ModelDeployment struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              ModelDeploymentSpec   `json:"spec"`
	Status            ModelDeploymentStatus `json:"status,omitempty"`
}

type ModelDeploymentSpec struct {
	Model struct {
		URI      string `json:"uri"`
		Contract string `json:"contract,omitempty"`
	} `json:"model"`
	Replicas             int32           `json:"replicas"`
	Suspend              bool            `json:"suspend,omitempty"`
	RevisionHistoryLimit int32           `json:"revisionHistoryLimit,omitempty"`
	Traffic              json.RawMessage `json:"traffic,omitempty"`
	Rollout              json.RawMessage `json:"rollout,omitempty"`
	Rollback             json.RawMessage `json:"rollback,omitempty"`
}

type Revision struct {
	Revision string `json:"revision"`
	Hash     string `json:"hash,omitempty"`
	Version  string `json:"version,omitempty"`
	Digest   string `json:"digest,omitempty"`
	Image    string `json:"image,omitempty"`
	// When it was promoted; a text, as ours keeps it.
	PromotedAt string `json:"promotedAt,omitempty"`
}

type Transition struct {
	At       string `json:"at,omitempty"`
	From     string `json:"from,omitempty"`
	To       string `json:"to,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Message  string `json:"message,omitempty"`
	Revision string `json:"revision,omitempty"`
}

type ModelDeploymentStatus struct {
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	Phase              string             `json:"phase,omitempty"`
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
	Stable             *Revision          `json:"stable,omitempty"`
	History            []Transition       `json:"history,omitempty"`
	Replicas           int32              `json:"replicas,omitempty"`
	Selector           string             `json:"selector,omitempty"`
	Traffic            json.RawMessage    `json:"traffic,omitempty"`
}

type ModelDeploymentList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ModelDeployment `json:"items"`
}

type ModelRevision struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              ModelRevisionSpec `json:"spec"`
}

type ModelRevisionSpec struct {
	ModelDeployment string                 `json:"modelDeployment"`
	Hash            string                 `json:"hash"`
	Intent          json.RawMessage        `json:"intent,omitempty"`
	Model           json.RawMessage        `json:"model,omitempty"`
	Contract        json.RawMessage        `json:"contract,omitempty"`
	Runtime         json.RawMessage        `json:"runtime,omitempty"`
	PodTemplate     corev1.PodTemplateSpec `json:"podTemplate"`
}

type ModelRevisionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ModelRevision `json:"items"`
}

func (in *ModelDeployment) DeepCopyObject() runtime.Object { return copied(in, &ModelDeployment{}) }
func (in *ModelDeploymentList) DeepCopyObject() runtime.Object {
	return copied(in, &ModelDeploymentList{})
}
func (in *ModelRevision) DeepCopyObject() runtime.Object     { return copied(in, &ModelRevision{}) }
func (in *ModelRevisionList) DeepCopyObject() runtime.Object { return copied(in, &ModelRevisionList{}) }

// The caches hand out what they hold, as Slipway's do, so nothing is copied on the way of a reconcile that does nothing.
func copied[T runtime.Object](from, to T) T {
	text, err := json.Marshal(from)
	if err != nil {
		panic(err)
	}
	if err := json.Unmarshal(text, to); err != nil {
		panic(err)
	}
	return to
}

func addToScheme(scheme *runtime.Scheme) {
	scheme.AddKnownTypes(groupVersion, &ModelDeployment{}, &ModelDeploymentList{}, &ModelRevision{}, &ModelRevisionList{})
	metav1.AddToGroupVersion(scheme, groupVersion)
}
