package standard_test

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/setpointhq/setpoint/server"
	"github.com/setpointhq/setpoint/standard"
)

func reference(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	if err := server.Reference(&b, standard.Drivers()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestEverySettingIsDescribedAndHasAVariableOfItsOwn(t *testing.T) {
	variable := regexp.MustCompile("`(SETPOINT_[A-Z0-9_]+)`")
	var seen []string
	for line := range strings.Lines(reference(t)) {
		for _, found := range variable.FindAllStringSubmatch(line, -1) {
			if slices.Contains(seen, found[1]) {
				t.Errorf("%s names two settings", found[1])
			}
			seen = append(seen, found[1])
		}
		if strings.HasPrefix(line, "| `") && regexp.MustCompile("\\| +`SETPOINT").MatchString(line) {
			t.Errorf("a setting without a description: %s", line)
		}
	}
	if len(seen) < 50 {
		t.Errorf("want all settings listed, found %d", len(seen))
	}
}

func TestDefaultsAreGood(t *testing.T) {
	if _, err := server.LoadSettings(standard.Drivers(), server.Sources{}); err != nil {
		t.Error(err)
	}
}

// What a build prints of its settings is a file that it takes.
func TestWhatIsPrintedIsTaken(t *testing.T) {
	s, err := server.LoadSettings(standard.Drivers(), server.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	var printed bytes.Buffer
	if err := s.Print(&printed); err != nil {
		t.Fatal(err)
	}
	file := t.TempDir() + "/settings.yaml"
	if err := os.WriteFile(file, printed.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := server.LoadSettings(standard.Drivers(), server.Sources{File: file}); err != nil {
		t.Errorf("%v\n%s", err, &printed)
	}
}
