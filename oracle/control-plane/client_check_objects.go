package main

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// insistCreate creates a config map. Finding it there after a failed attempt
// means that the attempt had succeeded and its answer was lost.
func insistCreate(ctx context.Context, t *checkTarget, name string) error {
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"key": "value"}}
	err := insist(ctx, func() error {
		_, err := t.typed.CoreV1().ConfigMaps(t.namespace).Create(ctx, object, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	return nil
}

// insistDelete deletes a config map; it may be gone by a lost attempt.
func insistDelete(ctx context.Context, t *checkTarget, name string) error {
	err := insist(ctx, func() error {
		err := t.typed.CoreV1().ConfigMaps(t.namespace).Delete(ctx, name, metav1.DeleteOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	return nil
}
