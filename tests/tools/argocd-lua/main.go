// Runs scripts for Argo CD in Argo CD's own Lua VM, and Argo CD's own diff.
//
//	argocd-lua test FOLDER
//	argocd-lua health ARGOCD_CM < OBJECTS > VERDICTS
//	argocd-lua actions ARGOCD_CM < OBJECTS > LISTS
//	argocd-lua run ARGOCD_CM ACTION [NAME=VALUE] < OBJECT > PATCH
//	argocd-lua diff < PAIRS > DIFFERENCES
//
// FOLDER has the layout of Argo CD's resource_customizations. ARGOCD_CM is a manifest of the ConfigMap
// argocd-cm, which Argo CD's settings manager reads. Objects are JSON, one per line, and so are the results, in
// the same order. A pair is {"desired": OBJECT, "live": OBJECT}. With KUBECONFIG the API server computes the
// diff too, as with Argo CD's server-side diff.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/sirupsen/logrus"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func main() {
	logrus.SetLevel(logrus.ErrorLevel)
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "test":
		return test(args[1])
	case len(args) == 2 && args[0] == "health":
		vm, err := vmOf(args[1])
		if err != nil {
			return err
		}
		return eachObject(vm.health)
	case len(args) == 2 && args[0] == "actions":
		vm, err := vmOf(args[1])
		if err != nil {
			return err
		}
		return eachObject(vm.actions)
	case len(args) >= 3 && args[0] == "run":
		vm, err := vmOf(args[1])
		if err != nil {
			return err
		}
		return eachObject(func(object *unstructured.Unstructured) (any, error) {
			return vm.run(object, args[2], args[3:])
		})
	case len(args) == 1 && args[0] == "diff":
		return differences()
	}
	return errors.New("usage: argocd-lua test|health|actions|run|diff, see the head of main.go")
}

// Answers each object on stdin with one line on stdout.
func eachObject(answer func(*unstructured.Unstructured) (any, error)) error {
	return each(func(line json.RawMessage) (any, error) {
		var object unstructured.Unstructured
		if err := object.UnmarshalJSON(line); err != nil {
			return nil, err
		}
		return answer(&object)
	})
}

func each(answer func(json.RawMessage) (any, error)) error {
	decoder := json.NewDecoder(os.Stdin)
	encoder := json.NewEncoder(os.Stdout)
	for number := 1; ; number++ {
		var line json.RawMessage
		err := decoder.Decode(&line)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("object %d: %w", number, err)
		}
		result, err := answer(line)
		if err != nil {
			return fmt.Errorf("object %d: %w", number, err)
		}
		if err := encoder.Encode(result); err != nil {
			return err
		}
	}
}
