package config

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"strings"
)

// NameForFile returns the config name of a file in a directory or archive:
// "rules/node.yml" becomes "rules-node.yml", ".env" becomes "env". Every byte
// that a name cannot hold becomes '-', and what stands before the first letter
// or digit goes. An overlong name is cut and gets a hash of the whole path
// before its ending, so that it stays unique and keeps its format. Two files
// can still come to one name ("a/b" and "a-b"): callers check for that.
func NameForFile(file string) (string, error) {
	if err := ValidateFile(file); err != nil {
		return "", err
	}
	name := []byte(file)
	for i, c := range name {
		if !nameByte(c) {
			name[i] = '-'
		}
	}
	trimmed := strings.TrimLeft(string(name), "._-")
	if trimmed == "" {
		return "", Errorf(Invalid, "", file, "file %q has no letter or digit to make a config name of; rename it", file)
	}
	if len(trimmed) <= MaxNameLength {
		return trimmed, nil
	}
	const longestEnding = 16
	sum := sha256.Sum256([]byte(file))
	ending := path.Ext(trimmed)
	if len(ending) > longestEnding {
		ending = ""
	}
	tail := "-" + hex.EncodeToString(sum[:4]) + ending
	return trimmed[:MaxNameLength-len(tail)] + tail, nil
}

func nameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-'
}
