package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/argoproj/argo-cd/gitops-engine/v3/pkg/health"
	applicationpkg "github.com/argoproj/argo-cd/v3/pkg/apiclient/application"
	appv1 "github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/argoproj/argo-cd/v3/util/settings"
	jsonpatch "github.com/evanphx/json-patch"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/yaml"
)

// The scripts of a ConfigMap argocd-cm, as Argo CD reads and runs them.
type vm struct {
	overrides map[string]appv1.ResourceOverride
}

func vmOf(path string) (*vm, error) {
	overrides, err := overridesOf(path)
	return &vm{overrides}, err
}

// The settings manager reads the ConfigMap from a cluster; the cluster is a client that holds the ConfigMap.
func overridesOf(path string) (map[string]appv1.ResourceOverride, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var configMap corev1.ConfigMap
	if err := yaml.UnmarshalStrict(text, &configMap); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	secret := corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Name:      "argocd-secret",
		Namespace: configMap.Namespace,
		Labels:    map[string]string{"app.kubernetes.io/part-of": "argocd"},
	}}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	client := fake.NewClientset(&configMap, &secret)
	return settings.NewSettingsManager(ctx, client, configMap.Namespace).GetResourceOverrides()
}

func (vm *vm) lua() lua.VM {
	return lua.VM{ResourceOverrides: vm.overrides}
}

// The health by the same function that Argo CD calls, which handles deletion too.
func (vm *vm) health(object *unstructured.Unstructured) (any, error) {
	return health.GetResourceHealth(object, lua.ResourceHealthOverrides(vm.overrides))
}

func (vm *vm) actions(object *unstructured.Unstructured) (any, error) {
	return discover(vm.lua(), object)
}

func discover(vm lua.VM, object *unstructured.Unstructured) ([]appv1.ResourceAction, error) {
	scripts, err := vm.GetResourceActionDiscovery(object)
	if err != nil {
		return nil, err
	}
	found, err := vm.ExecuteResourceActionDiscovery(object, scripts)
	slices.SortFunc(found, func(a, b appv1.ResourceAction) int { return strings.Compare(a.Name, b.Name) })
	return found, err
}

// The merge patch that Argo CD's server sends for an action. Only the object itself may be patched.
func (vm *vm) run(object *unstructured.Unstructured, action string, parameters []string) (any, error) {
	changed, err := act(vm.lua(), object, action, parameters)
	if err != nil {
		return nil, err
	}
	before, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	after, err := json.Marshal(changed)
	if err != nil {
		return nil, err
	}
	patch, err := jsonpatch.CreateMergePatch(before, after)
	return json.RawMessage(patch), err
}

func act(vm lua.VM, object *unstructured.Unstructured, action string, parameters []string) (*unstructured.Unstructured, error) {
	definition, err := vm.GetResourceAction(object, action)
	if err != nil {
		return nil, err
	}
	var given []*applicationpkg.ResourceActionParameters
	for _, parameter := range parameters {
		name, value, _ := strings.Cut(parameter, "=")
		given = append(given, &applicationpkg.ResourceActionParameters{Name: &name, Value: &value})
	}
	impacted, err := vm.ExecuteResourceAction(object, definition.ActionLua, given)
	if err != nil {
		return nil, err
	}
	if len(impacted) != 1 || impacted[0].K8SOperation != lua.PatchOperation {
		return nil, fmt.Errorf("%s does something else than to patch the object: %v", action, impacted)
	}
	return impacted[0].UnstructuredObj, nil
}
