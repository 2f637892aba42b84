// Prints what kstatus makes of Kubernetes objects: the libraries of Flux and Helm, and of kubectl's kin.
//
//	kstatus < OBJECTS > VERDICTS
//
// stdin: one object as JSON per line. stdout: one line of JSON per object, in the same order:
// {"flux": {"status": "Current", "message": "..."}, "sigs": {...}}.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	flux "github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	sigs "sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

type verdict struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(objects io.Reader, verdicts io.Writer) error {
	decoder := json.NewDecoder(objects)
	out := bufio.NewWriter(verdicts)
	encoder := json.NewEncoder(out)
	for number := 1; ; number++ {
		var object unstructured.Unstructured
		// Numbers decode to int64 as they do in a client: kstatus reads generations as int64.
		err := decoder.Decode(&object)
		if errors.Is(err, io.EOF) {
			return out.Flush()
		}
		if err != nil {
			return fmt.Errorf("object %d: %w", number, err)
		}
		verdicts, err := compute(&object)
		if err != nil {
			return fmt.Errorf("object %d: %w", number, err)
		}
		if err := encoder.Encode(verdicts); err != nil {
			return err
		}
	}
}

func compute(object *unstructured.Unstructured) (map[string]verdict, error) {
	byFlux, err := flux.Compute(object)
	if err != nil {
		return nil, fmt.Errorf("github.com/fluxcd/cli-utils: %w", err)
	}
	bySigs, err := sigs.Compute(object)
	if err != nil {
		return nil, fmt.Errorf("sigs.k8s.io/cli-utils: %w", err)
	}
	return map[string]verdict{
		"flux": {string(byFlux.Status), byFlux.Message},
		"sigs": {string(bySigs.Status), bySigs.Message},
	}, nil
}
