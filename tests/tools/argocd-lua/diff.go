package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/argoproj/argo-cd/gitops-engine/v3/pkg/diff"
	"github.com/argoproj/argo-cd/gitops-engine/v3/pkg/utils/kube"
	"github.com/argoproj/argo-cd/gitops-engine/v3/pkg/utils/tracing"
	"github.com/argoproj/argo-cd/v3/common"
	appv1 "github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	argodiff "github.com/argoproj/argo-cd/v3/util/argo/diff"
	"github.com/argoproj/argo-cd/v3/util/argo/normalizers"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2/textlogger"
)

// Prints for each pair what Argo CD compares: null for a mode in which the pair is in sync.
func differences() error {
	ctx := context.Background()
	modes := map[string]argodiff.DiffConfig{}
	// Argo CD ignores the status of every object (GetResourceOverrides).
	overrides := map[string]appv1.ResourceOverride{
		"*/*": {IgnoreDifferences: appv1.OverrideIgnoreDiff{JSONPointers: []string{"/status"}}},
	}
	builder := func() *argodiff.DiffConfigBuilder {
		return argodiff.NewDiffConfigBuilder().
			WithDiffSettings(nil, overrides, true, normalizers.IgnoreNormalizerOpts{}).
			WithTracking(common.LabelKeyAppInstance, string(appv1.TrackingMethodAnnotation)).
			WithManager(common.ArgoCDSSAManager).
			WithNoCache()
	}
	var err error
	if modes["client"], err = builder().Build(); err != nil {
		return err
	}
	if path := os.Getenv("KUBECONFIG"); path != "" {
		config, err := clientcmd.BuildConfigFromFlags("", path)
		if err != nil {
			return err
		}
		kubectl := &kube.KubectlCmd{Log: textlogger.NewLogger(textlogger.NewConfig()), Tracer: tracing.NopTracer{}}
		_, parser, err := kubectl.LoadOpenAPISchema(config)
		if err != nil {
			return err
		}
		applier, cleanup, err := kubectl.ManageServerSideDiffDryRuns(config)
		if err != nil {
			return err
		}
		defer cleanup()
		modes["server"], err = builder().
			WithGVKParser(parser).
			WithServerSideDiff(true).
			WithServerSideDryRunner(diff.NewK8sServerSideDryRunner(applier)).
			Build()
		if err != nil {
			return err
		}
	}
	return each(func(line json.RawMessage) (any, error) {
		var pair struct{ Desired, Live unstructured.Unstructured }
		if err := json.Unmarshal(line, &pair); err != nil {
			return nil, err
		}
		found := map[string]any{}
		for mode, config := range modes {
			result, err := argodiff.StateDiff(ctx, &pair.Live, &pair.Desired, config)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", mode, err)
			}
			found[mode] = nil
			if result.Modified {
				found[mode] = map[string]any{
					"live":      json.RawMessage(result.NormalizedLive),
					"predicted": json.RawMessage(result.PredictedLive),
				}
			}
		}
		return found, nil
	})
}
