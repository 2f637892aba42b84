// Decodes a dashboard by Grafana's own types, strictly: a field that is unknown, misspelt or missing is an error.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	plugins.RegisterDefaultPlugins()
	if err := decode(os.Args[1]); err != nil {
		fmt.Fprintf(os.Stderr, "%s:\n%s\n", os.Args[1], err)
		os.Exit(1)
	}
	fmt.Println("SUCCESS: Grafana's types decode the dashboard")
}

func decode(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var decoded dashboard.Dashboard
	if err := orNil(decoded.UnmarshalJSONStrict(text)); err != nil {
		return err
	}
	return orNil(decoded.Validate())
}

// The SDK returns a list of errors that may be empty, and an empty list is no nil error.
func orNil(err error) error {
	var list cog.BuildErrors
	if errors.As(err, &list) && len(list) == 0 {
		return nil
	}
	return err
}
