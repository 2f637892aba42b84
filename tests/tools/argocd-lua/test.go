package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/argoproj/argo-cd/gitops-engine/v3/pkg/health"
	appv1 "github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// The files of Argo CD's own tests (util/lua/health_test.go and custom_actions_test.go).
type healthTests struct {
	Tests []struct {
		InputPath    string              `json:"inputPath"`
		HealthStatus health.HealthStatus `json:"healthStatus"`
	} `json:"tests"`
}

type actionTests struct {
	DiscoveryTests []struct {
		InputPath string                 `json:"inputPath"`
		Result    []appv1.ResourceAction `json:"result"`
	} `json:"discoveryTests"`
	ActionTests []struct {
		Action             string            `json:"action"`
		InputPath          string            `json:"inputPath"`
		ExpectedOutputPath string            `json:"expectedOutputPath"`
		Parameters         map[string]string `json:"parameters"`
	} `json:"actionTests"`
}

// Argo CD's tests put a fixed time into annotations that are times. This is ours.
const (
	requestedAt = "cognito-password-operator.io/requestedAt"
	fixedTime   = "0001-01-01T00:00:00Z"
)

// Runs all tests below a folder as Argo CD runs those of its own folder. Stricter than Argo CD: the scripts get no
// library, each file of testdata must be in a test, and a list of actions must be complete.
func test(folder string) error {
	var failures []string
	count := 0
	used := map[string]bool{}
	fail := func(path string, err error) { failures = append(failures, fmt.Sprintf("%s: %s", path, err)) }
	err := filepath.WalkDir(folder, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		dir := filepath.Dir(path)
		switch filepath.Base(path) {
		case "health.lua":
			var tests healthTests
			if err := readYAML(filepath.Join(dir, "health_test.yaml"), &tests); err != nil {
				return err
			}
			for _, test := range tests.Tests {
				count++
				input := filepath.Join(dir, test.InputPath)
				used[input] = true
				if err := testHealth(path, input, test.HealthStatus); err != nil {
					fail(input, err)
				}
			}
		case "discovery.lua":
			var tests actionTests
			if err := readYAML(filepath.Join(dir, "action_test.yaml"), &tests); err != nil {
				return err
			}
			for _, test := range tests.DiscoveryTests {
				count++
				input := filepath.Join(dir, test.InputPath)
				used[input] = true
				if err := testDiscovery(dir, input, test.Result); err != nil {
					fail(input, err)
				}
			}
			for _, test := range tests.ActionTests {
				count++
				input, wanted := filepath.Join(dir, test.InputPath), filepath.Join(dir, test.ExpectedOutputPath)
				used[input], used[wanted] = true, true
				if err := testAction(dir, test.Action, test.Parameters, input, wanted); err != nil {
					fail(test.Action+" of "+input, err)
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	data, err := filepath.Glob(filepath.Join(folder, "*", "*", "testdata", "*.yaml"))
	if err != nil {
		return err
	}
	ofActions, err := filepath.Glob(filepath.Join(folder, "*", "*", "actions", "testdata", "*.yaml"))
	if err != nil {
		return err
	}
	for _, path := range slices.Concat(data, ofActions) {
		if !used[path] {
			fail(path, fmt.Errorf("no test uses this file"))
		}
	}
	if count == 0 {
		return fmt.Errorf("no tests below %s", folder)
	}
	if len(failures) > 0 {
		return fmt.Errorf("%d of %d tests failed:\n%s", len(failures), count, strings.Join(failures, "\n"))
	}
	fmt.Printf("%d tests passed\n", count)
	return nil
}

func testHealth(script, input string, wanted health.HealthStatus) error {
	text, err := os.ReadFile(script)
	if err != nil {
		return err
	}
	object, err := readObject(input)
	if err != nil {
		return err
	}
	key := lua.GetConfigMapKey(object.GroupVersionKind())
	if key != kindOf(filepath.Dir(script)) {
		return fmt.Errorf("an object of %s below %s", key, script)
	}
	overrides := map[string]appv1.ResourceOverride{key: {HealthLua: string(text)}}
	found, err := health.GetResourceHealth(object, lua.ResourceHealthOverrides(overrides))
	if err != nil {
		return err
	}
	if found == nil || *found != wanted {
		return fmt.Errorf("%+v instead of %+v", found, wanted)
	}
	return nil
}

func testDiscovery(dir, input string, wanted []appv1.ResourceAction) error {
	object, err := readObject(input)
	if err != nil {
		return err
	}
	vm, err := actionsOf(dir)
	if err != nil {
		return err
	}
	found, err := discover(vm, object)
	if err != nil {
		return err
	}
	slices.SortFunc(wanted, func(a, b appv1.ResourceAction) int { return strings.Compare(a.Name, b.Name) })
	if !reflect.DeepEqual(found, wanted) {
		return fmt.Errorf("%+v instead of %+v", found, wanted)
	}
	return nil
}

func testAction(dir, action string, parameters map[string]string, input, wanted string) error {
	object, err := readObject(input)
	if err != nil {
		return err
	}
	expected, err := readObject(wanted)
	if err != nil {
		return err
	}
	vm, err := actionsOf(dir)
	if err != nil {
		return err
	}
	var given []string
	for name, value := range parameters {
		given = append(given, name+"="+value)
	}
	found, err := act(vm, object, action, given)
	if err != nil {
		return err
	}
	annotations := found.GetAnnotations()
	if action == "set" {
		if annotations[requestedAt] == object.GetAnnotations()[requestedAt] {
			return fmt.Errorf("no new request")
		}
		if _, err := time.Parse(time.RFC3339, annotations[requestedAt]); err != nil {
			return err
		}
		annotations[requestedAt] = fixedTime
		found.SetAnnotations(annotations)
	}
	// Lua has one kind of numbers, so the objects are compared as JSON.
	foundJSON, err := json.MarshalIndent(found, "", "  ")
	if err != nil {
		return err
	}
	expectedJSON, err := json.MarshalIndent(expected, "", "  ")
	if err != nil {
		return err
	}
	if string(foundJSON) != string(expectedJSON) {
		return fmt.Errorf("%s\ninstead of %s", foundJSON, expectedJSON)
	}
	return nil
}

// The actions of a folder, as Argo CD has them from argocd-cm.
func actionsOf(dir string) (lua.VM, error) {
	discovery, err := os.ReadFile(filepath.Join(dir, "discovery.lua"))
	if err != nil {
		return lua.VM{}, err
	}
	actions := appv1.ResourceActions{ActionDiscoveryLua: string(discovery)}
	scripts, err := filepath.Glob(filepath.Join(dir, "*", "action.lua"))
	if err != nil {
		return lua.VM{}, err
	}
	for _, script := range scripts {
		text, err := os.ReadFile(script)
		if err != nil {
			return lua.VM{}, err
		}
		name := filepath.Base(filepath.Dir(script))
		definition := appv1.ResourceActionDefinition{Name: name, ActionLua: string(text)}
		actions.Definitions = append(actions.Definitions, definition)
	}
	text, err := yaml.Marshal(actions)
	if err != nil {
		return lua.VM{}, err
	}
	override := appv1.ResourceOverride{Actions: string(text)}
	return lua.VM{ResourceOverrides: map[string]appv1.ResourceOverride{kindOf(filepath.Dir(dir)): override}}, nil
}

// GROUP/KIND, the last two folders of a path.
func kindOf(dir string) string {
	return filepath.Base(filepath.Dir(dir)) + "/" + filepath.Base(dir)
}

func readObject(path string) (*unstructured.Unstructured, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	text, err = yaml.YAMLToJSON(text)
	if err != nil {
		return nil, err
	}
	var object unstructured.Unstructured
	return &object, object.UnmarshalJSON(text)
}

func readYAML(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := yaml.UnmarshalStrict(text, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
