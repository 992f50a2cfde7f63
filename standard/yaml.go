//go:build !no_yaml

package standard

import (
	"github.com/setpointhq/setpoint/format"
	"github.com/setpointhq/setpoint/format/yaml"
	"github.com/setpointhq/setpoint/server"
)

func addYAML(d *server.Drivers) {
	d.Formats.Add("yaml", func() format.Format { return yaml.New() })
}
