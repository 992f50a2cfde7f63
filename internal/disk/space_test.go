package disk

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSpace(t *testing.T) {
	dir := t.TempDir()
	free, total, err := Space(dir)
	if err != nil {
		t.Fatal(err)
	}
	if free <= 0 || total < free {
		t.Errorf("want some room, and not more than there is, got %d of %d bytes", free, total)
	}
	if _, _, err := Space(filepath.Join(dir, "missing")); !os.IsNotExist(err) {
		t.Errorf("want a folder that is not there refused, got %v", err)
	}
}
